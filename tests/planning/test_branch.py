"""rerun=RUN from_task=k before anything starts: what is refused, what it is called, and sweeps of it."""

import pytest

from cil.config.identity import identity_part
from cil.config.typed import to_yaml
from cil.config.usage import inherited_keys
from cil.errors import ConfigError
from cil.planning.branch import kept_tasks
from cil.planning.plan import plan
from cil.planning.rerun import spelled_out
from tests.planning.helpers import one


@pytest.fixture
def store(tmp_path):
    """Writes the folder of a run that has kept its states after these tasks."""

    def write(*overrides, kept=(1, 2), name="run", effective=None):
        folder = tmp_path / name
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "config.yaml").write_text(to_yaml(effective or one(*overrides).effective))
        for task in kept:
            (folder / "checkpoints" / f"task-{task:02d}-{'0' * 16}.pt").touch()
        return folder

    return write


def refusal(*arguments):
    with pytest.raises(ConfigError) as caught:
        plan(list(arguments))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_branch_has_an_identity_of_its_own(store):
    folder = store("seed=3")
    job = one(f"rerun={folder}", "from_task=1")
    branch = {"run_id": one("seed=3").run_id, "task": 1}
    assert job.effective["branch"] == branch | {"run": str(folder)}
    assert identity_part(job.effective)["branch"] == branch
    ids = {job.run_id, one(f"rerun={folder}", "from_task=2").run_id, one("seed=3").run_id}
    assert len(ids) == 3
    assert one(f"rerun={folder}").run_id == one("seed=3").run_id
    assert "branch" not in identity_part(one().effective)


def test_where_the_ancestor_lies_plays_no_part(store):
    first, second = store(name="a"), store(name="b")
    assert one(f"rerun={first}", "from_task=1").run_id == one(f"rerun={second}", "from_task=1").run_id


@pytest.mark.parametrize(
    "change",
    [
        "split.base=4", "split.increment=4", "class_order=pycil", "backbone.name=resnet20", "dataset.image_size=16",
        "backbone.projector_out=32", "dataset.max_train_per_class=9", "method.attention_heads=4",
        "trainer.init_epochs=3", "optimizer.init_weight_decay=0", "augment.mean=[0,0,0]", "memory.size=300",
        "memory.size=0",
    ],
)  # fmt: skip
def test_what_the_state_depends_on_is_refused(store, change):
    key = change.partition("=")[0]
    assert refusal(f"rerun={store()}", "from_task=1", change).startswith(f"{key}: ")


@pytest.mark.parametrize(
    "change",
    [
        "loss.name=infonce", "ant_margin=0.3", "method.aux_weight=1", "optimizer.lr=0.05", "trainer.inc_epochs=3",
        "trainer.batch_size=16", "trainer.precision=bf16", "memory.selection=random", "memory.size=100", "seed=4",
        "augment.flip=true", "margin_schedule.name=linear", "trainer.max_tasks=3", "memory.policy=fixed",
    ],
)  # fmt: skip
def test_what_acts_later_alone_may_change(store, change):
    folder = store("loss=ant")
    arguments = (f"rerun={folder}", "from_task=2", change)
    assert one(*arguments).run_id != one(*arguments[:2]).run_id


def test_a_memory_that_was_kept_small_does_not_grow(store):
    folder = store("memory.policy=fixed")  # 200 of 10 classes: 20 each
    message = refusal(f"rerun={folder}", "from_task=1", "memory.policy=total")
    assert "wants 100 exemplars of each class after task 1, the state there holds 20; valid: at most 41" in message
    one(f"rerun={folder}", "from_task=1", "memory.policy=total", "memory.size=41")


def test_tasks_that_are_not_there(store):
    folder = store()
    assert "valid: 1 to 4" in refusal(f"rerun={folder}", "from_task=5")
    assert "valid: 1 to 4" in refusal(f"rerun={folder}", "from_task=17")
    message = refusal(f"rerun={folder}", "from_task=3")
    assert "has not kept the state after task 3, kept are those after task 1, 2; " in message
    assert "checkpoint.keep_tasks=true" in message
    assert "it has kept none" in refusal(f"rerun={store(name='none', kept=())}", "from_task=1")
    assert "it has no later task" in refusal(f"rerun={folder}", "from_task=1", "trainer.max_tasks=1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["from_task=1"], "from_task: needs rerun=RUN"),
        (["rerun=RUN", "from_task=0"], "from_task: '0' is not valid"),
        (["rerun=RUN", "from_task=-1"], "from_task: '-1' is not valid"),
        (["rerun=RUN", "from_task=1.5"], "from_task: '1.5' is not valid"),
        (["rerun=RUN", "from_task=1,2"], "from_task: '1,2' is not valid"),
        (["rerun=RUN", "from_task="], "from_task: '' is not valid"),
        (["branch.task=1"], "branch.task: is not set by hand"),
        (["rerun=RUN", "branch.run=/x"], "branch.run: is not set by hand"),
        (["rerun=RUN", "from_task=1", "loss=infonce"], "loss=infonce: beside rerun only single keys"),
    ],
    ids=str,
)
def test_mistakes(store, arguments, message):
    folder = store()
    assert message in refusal(*(text.replace("RUN", str(folder)) for text in arguments))


def test_a_branch_of_a_branch(store):
    first = store("seed=3")
    job = one(f"rerun={first}", "from_task=1", "ant_margin=0.3")
    second = store(name="second", effective=job.effective)
    nested = one(f"rerun={second}", "from_task=2")
    assert nested.effective["branch"] == {"run_id": job.run_id, "task": 2, "run": str(second)}
    assert f"rerun={first} from_task=1" in refusal(f"rerun={second}", "from_task=1")
    assert one(f"rerun={second}").run_id == job.run_id, "the branch once more"
    (first / "config.yaml").write_text(to_yaml(one("seed=4").effective))
    assert "holds another run than" in refusal(f"rerun={second}")
    assert one(f"resume={second}").run_id == job.run_id


def test_a_checkpoint_between_two_tasks_is_a_kept_state(store):
    folder = store(kept=()) / "checkpoints"
    for name in ("t0003-e000000-s00000000", "t0004-e000000-s00000002", "t0001-e000000-s00000000", "final"):
        (folder / f"{name}-{'0' * 16}.pt").touch()
    assert kept_tasks(folder.parent) == [2]


def test_a_sweep_of_branches(store):
    folder = store("loss=ant", "name=mine")
    planned = plan(["-m", f"rerun={folder}", "from_task=1", "ant_margin=0.1,0.3", "seed=1,2"])
    assert planned.grid and planned.rerun == folder
    assert [job.overrides for job in planned.jobs][:2] == [["ant_margin=0.1", "seed=1"], ["ant_margin=0.1", "seed=2"]]
    alone = one(f"rerun={folder}", "from_task=1", "ant_margin=0.3", "seed=2")
    assert planned.jobs[3].effective == alone.effective
    assert str(planned.jobs[3].folder) == f"outputs/sweeps/mine/{alone.run_id}"


def test_a_sweep_needs_what_it_starts_from_only_where_a_job_is_new(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["-m", f"rerun={store(kept=(1,))}", "from_task=1", "ant_margin=0.1,0.3"]
    jobs = plan(arguments).jobs
    (tmp_path / f"run/checkpoints/task-01-{'0' * 16}.pt").unlink()
    assert "it has kept none" in refusal(*arguments)
    for job in jobs:
        (job.folder / "checkpoints").mkdir(parents=True)
        (job.folder / "checkpoints" / f"final-{'0' * 16}.pt").touch()
    assert [job.run_id for job in plan(arguments).jobs] == [job.run_id for job in jobs]


@pytest.mark.parametrize(
    "overrides",
    [[], ["loss=infonce"], ["loss=ant_curriculum"], ["method=joint"], ["class_order=random", "split=joint"]],
)
def test_a_stored_configuration_spelled_out_is_the_same_run(overrides):
    job = one(*overrides)

    again = one(*(text.removeprefix("++") for text in spelled_out(job.effective) if "branch." not in text))
    assert again.effective == job.effective


def test_the_keys_a_branch_keeps():
    assert {"dataset.source", "split.sizes", "class_order", "backbone.stem", "method.name"} <= inherited_keys()
    assert {"loss.prototypes", "teacher.average_last", "prune.ratio"} <= inherited_keys()
    assert not {"loss.name", "ant_margin", "seed", "memory.selection", "trainer.inc_epochs"} & inherited_keys()
