"""Keys without effect become null, are warned about only where they were written, and never make a job of their own."""

from dataclasses import fields

import pytest

from cil.config.effective import effective
from cil.config.schema import LossConfig, ScheduleName
from cil.planning.plan import plan
from tests.planning.helpers import one


def null_keys(config):
    found = {field.name for field in fields(LossConfig) if getattr(config.loss, field.name) is None}
    elsewhere = {"prototype_weight", "prototype_delta", "chunk_rows"}
    assert found >= elsewhere, "used with loss.prototypes=repel alone, and off by default"
    return found - elsewhere


def test_keys_of_repelling_prototypes_are_used_with_those():
    assert one("loss=infonce", "loss.prototypes=repel").config.loss.prototype_weight == 1.0


ANT_ONLY = {
    "ant_term",
    "reference_grad",
    "formulation",
    "softplus_tau",
    "topk",
    "hard_negative_ratio",
    "gap_beta",
    "gap_target",
}
LOSS_CASES = [
    (["loss=infonce"], ANT_ONLY | {"ant_beta"}),
    (["loss=ant"], {"softplus_tau", "topk", "hard_negative_ratio", "gap_target"}),
    (["loss=ant_hard"], {"softplus_tau", "topk", "gap_target"}),
    (["loss=ant_gap"], {"softplus_tau", "topk", "hard_negative_ratio"}),
    (["loss=ant", "loss.formulation=topk"], {"softplus_tau", "hard_negative_ratio", "gap_target"}),
    (["loss=ant", "loss.formulation=softplus"], {"topk", "hard_negative_ratio", "gap_target"}),
    (["loss=ant_gap", "loss.ant_beta=0"], ANT_ONLY),
    (["loss=ant_gap", "loss.ant_term=false"], ANT_ONLY - {"ant_term", "gap_beta", "gap_target"}),
    (["loss=ant", "loss.ant_term=false"], ANT_ONLY),
]


@pytest.mark.parametrize(("arguments", "expected"), LOSS_CASES, ids=[" ".join(case[0]) for case in LOSS_CASES])
def test_unused_loss_keys_are_null(arguments, expected):
    assert null_keys(one(*arguments).config) == expected


SCHEDULE_CASES = [
    ("constant", {"target_margin", "start_epoch", "end_epoch", "epochs", "margins", "unit"}),
    ("linear", {"end_epoch", "epochs", "margins", "unit"}),
    ("cosine", {"end_epoch", "epochs", "margins", "unit"}),
    ("curriculum", {"target_margin", "start_epoch", "end_epoch"}),
]


@pytest.mark.parametrize(("name", "expected"), SCHEDULE_CASES)
def test_unused_schedule_keys_are_null(name, expected):
    schedule = one("loss=ant", f"margin_schedule={name}", "margin_schedule.gap_ratio=0.8").effective["margin_schedule"]
    assert {key for key, value in schedule.items() if value is None} == expected | {"initial_margin"}


def test_infonce_keeps_a_constant_probe_margin():
    job = one("loss=infonce", "margin_schedule=linear", "margin_schedule.gap_ratio=0.8", "ant_margin=0.2")
    assert job.config.ant_margin == 0.2
    assert job.config.margin_schedule.name is ScheduleName.constant
    assert [value for key, value in job.effective["margin_schedule"].items() if key != "name"] == [None] * 8
    assert any("margin_schedule: linear has no effect with loss=infonce" in line for line in job.warnings)
    assert any("margin_schedule.gap_ratio" in line for line in job.warnings)
    assert one("loss=infonce").config.ant_margin == 0.1


def test_only_written_keys_are_warned_about():
    assert one("loss=infonce").warnings == []
    assert one("loss=infonce", "loss.topk=null").warnings == []
    assert one("loss=infonce", "loss.topk=3").warnings == [
        "loss.topk: has no effect with loss=infonce; recorded as null"
    ]
    assert one("loss.gap_target=0.5").warnings == [
        "loss.gap_target: has no effect with loss.gap_beta=0; recorded as null"
    ]


def test_each_warning_once_in_a_sweep():
    lines = plan(["-m", "loss=infonce", "loss.topk=3", "seed=1,2,3"]).warnings
    assert lines == ["loss.topk: has no effect with loss=infonce; recorded as null"]


def test_unused_keys_make_no_jobs_of_their_own():
    jobs = plan(["-m", "loss=infonce,ant", "loss.ant_beta=0.5,1"]).jobs
    assert [(job.config.loss.name, job.config.loss.ant_beta) for job in jobs] == [
        ("infonce", None), ("ant", 0.5), ("ant", 1.0)
    ]  # fmt: skip
    assert jobs[0].copies == [["loss=infonce", "loss.ant_beta=1"]]


def test_the_start_margin_has_one_place():
    by_key = one("ant_margin=0.3")
    by_schedule = one("margin_schedule.initial_margin=0.3")
    both = one("ant_margin=0.3", "margin_schedule.initial_margin=0.3")
    assert by_key.run_id == by_schedule.run_id == both.run_id
    assert by_key.effective["ant_margin"] == 0.3
    assert by_key.effective["margin_schedule"]["initial_margin"] is None
    assert one("loss=ant_curriculum").effective["ant_margin"] is None


def test_sizes_replace_base_and_increment():
    job = one("split.sizes=[4,3,3]")
    assert job.effective["split"] == {"base": None, "increment": None, "sizes": [4, 3, 3]}
    assert job.warnings == []
    assert "split.base" in one("split.sizes=[4,3,3]", "split.base=4").warnings[0]


def test_class_order_seed_counts_only_for_random():
    assert one("class_order=random", "class_order_seed=3").effective["class_order_seed"] == 3
    ignored = one("class_order=pycil", "class_order_seed=3")
    assert ignored.effective["class_order_seed"] == 0
    assert "class_order_seed" in ignored.warnings[0]


def test_what_a_method_does_not_use_is_null():
    config = one("method=finetune").effective
    assert set(config["loss"].values()) == set(config["margin_schedule"].values()) == {None}
    assert set(config["memory"].values()) == {config["ant_margin"]} == {None}
    assert (config["backbone"]["projector_hidden"], config["backbone"]["name"]) == (None, "resnet8")
    assert one("method=replay").config.memory.size == 200


def test_a_group_that_a_method_does_not_use_is_warned_about_once():
    written = ["loss=ant", "margin_schedule=curriculum", "ant_margin=0.3", "loss.ant_beta=2", "memory.size=50"]
    assert sorted(one("method=finetune", *written).warnings) == [
        f"{name}: has no effect with method=finetune; recorded as null"
        for name in ("ant_margin", "loss.ant_beta", "loss", "margin_schedule", "memory.size")
    ]
    assert one("method=finetune", "experiment=gap_max").warnings == []


def test_a_sweep_over_what_a_method_does_not_use_is_one_job():
    (job,) = plan(["-m", "method=finetune", "loss=ant,infonce", "loss.ant_beta=0.5,1"]).jobs
    assert len(job.copies) == 3
    assert len(plan(["-m", "method=tagfex,finetune", "ant_margin=0.1,0.2"]).jobs) == 3


def test_without_weight_there_is_no_contrastive_loss():
    (job,) = plan(["-m", "method.contrast_weight=0", "loss=ant,ant_gap", "ant_margin=0.1,0.2"]).jobs
    config = job.effective
    assert set(config["loss"].values()) == set(config["margin_schedule"].values()) == {config["ant_margin"]} == {None}
    assert config["method"]["distill_weight"] is None
    assert "loss: has no effect with method.contrast_weight=0; recorded as null" in job.warnings
    assert config["memory"]["size"] == 200


def test_paths_are_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    assert one("dataset.root=data/x").effective["dataset"]["root"] == str(tmp_path / "data" / "x")
    assert one("dataset.root=~/x").effective["dataset"]["root"] == "/home/someone/x"


@pytest.mark.parametrize("loss", ["infonce", "ant_adaptive", "ant_curriculum", "ant_gap", "ant_hard"])
def test_the_effective_configuration_is_its_own_effective_configuration(loss):
    config = one(f"loss={loss}").config
    again, warnings = effective(config, preset_start=False)
    assert again == config
    assert warnings == []


def test_settings_that_never_act_are_mentioned():
    lines = one("margin_schedule.end_epoch=11", "trainer.inc_epochs=10", "trainer.init_epochs=12").warnings
    assert lines == ["margin_schedule.end_epoch: 11 is beyond the 10 epochs of later tasks; target never reached"]
    lines = one("split=joint", "trainer.init_epochs=3", "optimizer.init_milestones=[2,5]").warnings
    assert lines == ["optimizer.init_milestones: 5 never acts, task 1: 3 epochs"]
    lines = one("loss=ant_curriculum", "margin_schedule.unit=fraction", "margin_schedule.epochs=[0,0.2,0.5,1]").warnings
    assert [line.split(" never")[0] for line in lines] == ["margin_schedule.epochs: 1"] * 2
    lines = one(
        "loss=ant_curriculum", "margin_schedule.epochs=[0,2,4,10]", "trainer.inc_epochs=10", "trainer.max_tasks=2"
    )
    assert any("10 never acts, later tasks" in line for line in lines.warnings)
    epochs = ("teacher.average_last=5", "trainer.init_epochs=5", "trainer.inc_epochs=4", "optimizer.init_milestones=[]")
    lines = one(*epochs, "optimizer.inc_milestones=[]", "loss=ant").warnings
    assert lines == ["teacher.average_last: 5 is more than the 4 epochs of later tasks; the mean is of all of them"]
