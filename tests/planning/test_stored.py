"""resume=RUN and rerun=RUN: from a stored configuration, which may come from someone else."""

from pathlib import Path

import pytest
import yaml

from cil.config.presets import PRESETS
from cil.config.typed import to_yaml
from cil.errors import ConfigError
from cil.planning.plan import plan
from tests.planning.helpers import one


@pytest.fixture
def store(tmp_path):
    """Writes the config.yaml of a run, changed by hand if wanted; gives the folder."""

    def write(*overrides, change=None):
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        text = to_yaml(one(*overrides).effective)
        if change is not None:
            content = yaml.safe_load(text)
            change(content)
            text = yaml.safe_dump(content)
        (folder / "config.yaml").write_text(text)
        return folder

    return write


def refusal(*arguments):
    with pytest.raises(ConfigError) as caught:
        plan(list(arguments))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_overrides_it_is_the_same_run(store):
    for overrides in (["loss=ant_gap", "seed=3"], ["loss=infonce"], ["loss=ant_curriculum"], ["split=joint"]):
        folder = store(*overrides)
        first = one(*overrides)
        for key in ("rerun", "resume"):
            job = one(f"{key}={folder}")
            assert (job.run_id, job.effective) == (first.run_id, first.effective)
            assert job.warnings == first.warnings


def test_a_run_of_a_version_that_took_more_keys_for_used_is_continued(store):
    """0.1.0 recorded the contrastive loss, and its margin, although they had no weight."""
    full = one().effective

    def as_it_was(content):
        content |= {name: full[name] for name in ("loss", "margin_schedule", "ant_margin")}
        content["method"]["distill_weight"] = 2.0

    folder = store("method.contrast_weight=0", change=as_it_was)
    assert yaml.safe_load((folder / "config.yaml").read_text())["loss"]["name"] == "ant"
    planned = plan([f"resume={folder}"])
    assert planned.warnings == []
    assert planned.jobs[0].run_id == one("method.contrast_weight=0").run_id
    assert "method.contrast_weight: 0 -> 1" in refusal(f"resume={folder}", "method.contrast_weight=1")


def test_a_neutral_value_is_shown_as_what_it_is(store):
    folder = store("augment.auto_augment=cifar10", "augment.auto_augment_ops=torchvision")
    message = refusal(f"resume={folder}", "augment.auto_augment_ops=published")
    assert "(augment.auto_augment_ops: torchvision -> published)" in message


def test_a_rerun_takes_single_keys(store):
    folder = store("loss=ant", "seed=3")
    planned = plan([f"rerun={folder}", "seed=4", "optimizer.lr=0.05"])
    assert planned.rerun
    assert planned.resume is None
    assert planned.jobs[0].effective == one("loss=ant", "seed=4", "optimizer.lr=0.05").effective


def test_a_key_that_was_unused_starts_at_its_default(store):
    folder = store("loss=ant")
    assert yaml.safe_load((folder / "config.yaml").read_text())["loss"]["topk"] is None
    job = one(f"rerun={folder}", "loss.formulation=topk")
    assert job.config.loss.topk == 32
    assert job.run_id == one("loss=ant", "loss.formulation=topk").run_id
    gap = one(f"rerun={folder}", "loss.gap_beta=0.5")
    assert gap.run_id == one("loss=ant_gap").run_id


def test_a_rerun_can_start_at_another_margin(store):
    folder = store("loss=ant_adaptive")
    for key in ("margin_schedule.initial_margin", "ant_margin"):
        job = one(f"rerun={folder}", f"{key}=0.3")
        assert job.config.ant_margin == 0.3
        assert job.run_id == one("loss=ant_adaptive", "ant_margin=0.3").run_id


@pytest.mark.parametrize("group", ["loss=infonce", "dataset=cifar100", "experiment=baseline", "debug=smoke"])
def test_a_group_beside_rerun_is_refused(store, group):
    key = group.split("=")[0]
    assert refusal(f"rerun={store()}", group) == (
        f"{group}: beside rerun only single keys can be changed, e.g. {key}.KEY=VALUE"
    )


def test_what_would_alter_a_continued_run_is_listed(store):
    folder = store("loss=ant", "seed=3")
    message = refusal(f"resume={folder}", "seed=4", "trainer.batch_size=32", "loss.temperature=0.1")
    assert f"resume: {folder} was started with other settings" in message
    assert "loss.temperature: 0.2 -> 0.1; seed: 3 -> 4; trainer.batch_size: 64 -> 32" in message
    assert f"rerun={folder}" in message
    assert "split.increment: 2 -> 4" in refusal(f"resume={folder}", "loss=ant", "seed=3", "split.increment=4")


def test_what_alters_no_result_may_change(store):
    folder = store("loss=ant")
    changed = ["device=cpu", "trainer.eval_every=2", "checkpoint.every_minutes=1", "tracking.progress=false"]
    planned = plan([f"resume={folder}", *changed])
    assert planned.resume == folder
    assert (planned.jobs[0].config.device, planned.jobs[0].config.trainer.eval_every) == ("cpu", 2)


def test_the_command_that_started_it_may_be_repeated(store):
    folder = store("loss=ant_gap", "seed=3")
    assert plan(["loss=ant_gap", "seed=3", f"resume={folder}"]).resume == folder
    assert "loss.gap_beta: 0.5 -> 0" in refusal("loss=ant", "seed=3", f"resume={folder}")


@pytest.mark.parametrize("group", ["tracking=default", "checkpoint=default"])
def test_a_group_that_alters_no_result_changes_its_own_keys_only(store, group):
    folder = store("loss=ant", "name=mine", "trainer.init_epochs=20", "checkpoint.every_minutes=3")
    config = one(f"resume={folder}", group, "device=cpu").config
    assert (config.name, config.device, config.trainer.init_epochs) == ("mine", "cpu", 20)
    assert config.checkpoint.every_minutes == (10 if group.startswith("checkpoint") else 3)


def test_the_whole_command_leaves_what_it_does_not_name(store):
    folder = store("loss=ant_gap", "seed=3", "name=mine", "trainer.eval_every=2")
    config = one("loss=ant_gap", "seed=3", f"resume={folder}").config
    assert (config.name, config.trainer.eval_every) == ("mine", 2)


@pytest.mark.parametrize(
    ("started", "named"),
    [
        (["loss=ant", "trainer.init_epochs=20"], ["loss=ant"]),
        (["loss=ant_adaptive", "split=5-5", "trainer.inc_epochs=30", "memory.size=50"], ["loss=ant_adaptive"]),
        (["loss=ant_adaptive", "ant_margin=0.3"], ["loss=ant_adaptive"]),
        (["loss=ant", "margin_schedule=linear"], ["loss=ant_adaptive"]),  # the preset's margins, spelt out
        (["loss=ant_curriculum", "seed=4"], ["loss=ant_curriculum"]),
        (["loss=infonce", "memory.size=50"], ["loss=infonce", "dataset=digits"]),
        (["split=5-5", "trainer.init_epochs=20", "dataset.num_workers=1"], ["dataset=digits"]),
        (["experiment=gap_max", "trainer.init_epochs=20", "name=mine"], ["experiment=gap_max"]),
        (["experiment=[gap_max,infonce]", "seed=4"], ["experiment=[gap_max,infonce]"]),
        (["debug=smoke", "loss=ant_gap"], ["debug=smoke"]),
    ],
    ids=str,
)
def test_a_named_group_leaves_other_groups_as_they_are_stored(store, started, named):
    folder = store(*started)
    job = one(f"resume={folder}", *named)
    assert job.effective == one(*started).effective


@pytest.mark.parametrize(
    ("started", "named", "listed"),
    [
        (["loss=ant"], "loss=ant_adaptive", "margin_schedule.name: constant -> linear"),
        (["loss=ant"], "loss=ant_curriculum", "margin_schedule.name: constant -> curriculum"),
        (["loss=ant", "loss.temperature=0.1"], "loss=ant", "loss.temperature: 0.1 -> 0.2"),
        (["loss=ant_adaptive", "margin_schedule.target_margin=0.6"], "loss=ant_adaptive", "target_margin: 0.6 -> 0.5"),
        (["loss=ant_curriculum"], "loss=ant_adaptive", "margin_schedule.name: curriculum -> linear"),
        (["seed=4"], "dataset=cifar100", "dataset.classes: 10 -> 100"),
        (["experiment=gap_max", "loss.gap_beta=0.1"], "experiment=gap_max", "loss.gap_beta: 0.1 -> 0.5"),
        (["split=5-5", "trainer.init_epochs=20"], "split=2-2", "split.base: 5 -> 2"),
    ],
    ids=str,
)
def test_a_named_group_with_other_content_is_refused(store, started, named, listed):
    message = refusal(f"resume={store(*started)}", named)
    assert listed in message
    assert "epochs: " not in message.replace("margin_schedule.epochs: ", "") and "memory" not in message


def test_a_preset_is_that_of_the_stored_data_set(store, monkeypatch):
    """The command does not name the data set; by default it would be the digits, with a margin up to 0.5."""
    monkeypatch.setitem(PRESETS, ("other", "2-2"), (0.1, 0.45, 7))
    folder = store("loss=ant_adaptive", "dataset.name=other")
    job = one(f"resume={folder}", "loss=ant_adaptive")
    assert (job.config.margin_schedule.target_margin, job.config.margin_schedule.end_epoch) == (0.45, 7)
    assert job.run_id == one("loss=ant_adaptive", "dataset.name=other").run_id


TAMPERED = {
    "a hydra node": (lambda c: c.update(hydra={"callbacks": {"x": {"_target_": "os.system"}}}), "'hydra'"),
    "a target": (lambda c: c["loss"].update(_target_="os.system"), "'_target_'"),
    "an interpolation": (lambda c: c.update(name="${oc.env:HOME}"), "'${'"),
    "an unknown key": (lambda c: c["loss"].update(tau=1), "loss.tau: unknown key"),
    "a missing key": (lambda c: c["loss"].pop("temperature"), "loss.temperature: is missing"),
    "a wrong type": (lambda c: c.update(seed="x"), "seed: 'x' is not valid"),
    "a value out of range": (lambda c: c["optimizer"].update(lr=-1), "optimizer.lr: -1"),
    "a way out of the folder": (lambda c: c.update(name="../x"), "name: '../x'"),
}


@pytest.mark.parametrize("key", ["resume", "rerun"])
@pytest.mark.parametrize("case", TAMPERED, ids=str)
def test_a_tampered_configuration_is_refused(store, case, key):
    change, message = TAMPERED[case]
    assert message in refusal(f"{key}={store(change=change)}")


def test_python_objects_in_yaml_are_not_made(store, tmp_path):
    folder, proof = store(), tmp_path / "proof"
    (folder / "config.yaml").write_text(f"name: !!python/object/apply:os.mkdir ['{proof}']\n")
    assert "cannot be read as a configuration" in refusal(f"rerun={folder}")
    assert not proof.exists()


@pytest.mark.parametrize("key", ["resume", "rerun"])
def test_folders_that_are_no_runs(tmp_path, key):
    assert f"{key}: {tmp_path / 'none'} is not a folder" in refusal(f"{key}={tmp_path / 'none'}")
    assert "holds no config.yaml" in refusal(f"{key}={tmp_path}")
    (tmp_path / "config.yaml").write_bytes(b"\xff\xfe")
    assert "cannot be read" in refusal(f"{key}={tmp_path}")


def test_one_run_at_a_time(store):
    folder = store()
    assert "continues or repeats one run" in refusal("-m", f"resume={folder}", "seed=1,2")
    assert "several values are a sweep" in refusal(f"rerun={folder}", "seed=1,2")
    assert "resume, rerun: only one" in refusal(f"resume={folder}", f"rerun={folder}")


def test_a_rerun_goes_where_hydra_run_dir_says(store):
    folder = store()
    assert plan([f"rerun={folder}", "hydra.run.dir=there/it is"]).place == Path("there/it is")
    assert plan([f"rerun={folder}", "hydra.run.dir=1e3"]).place == Path("1e3")
    assert plan([f"rerun={folder}"]).place is None


@pytest.mark.parametrize(
    ("key", "override"),
    [
        ("rerun", "hydra.job.name=x"),
        ("rerun", "hydra.run.dir=x/${name}"),
        ("rerun", "hydra.run.dir=null"),
        ("rerun", "hydra.run.dir="),
        ("rerun", "hydra.run.dir=a,b"),
        ("rerun", "hydra.run.dir=[a]"),
        ("rerun", "~hydra.run.dir"),
        ("resume", "hydra.run.dir=x"),
    ],
)
def test_what_hydra_would_do_is_refused_where_it_does_not_start_the_run(store, key, override):
    message = refusal(f"{key}={store()}", override)
    assert message.startswith(f"{override.partition('=')[0].lstrip('~')}: has no effect beside {key}; valid: ")


def test_a_folder_above_runs_names_them(store):
    folder = store()
    assert f"runs below it: {folder} and 0 more" in refusal(f"resume={folder.parent}")
