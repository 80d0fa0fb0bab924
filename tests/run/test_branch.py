"""rerun=RUN from_task=k: a branch equals the unbroken run, carries its ancestor's figures, and can be continued."""

import json
import shutil
import signal
import time

import pytest
import torch

from cil.config import parts
from cil.errors import ConfigError, DataError
from cil.planning.plan import plan
from cil.records.checkpoint import CheckpointFolder, read_checkpoint, write_checkpoint
from cil.run import live
from cil.run.experiment import run_experiment
from cil.run.signals import Interrupted
from tests.commands import changed, train
from tests.sweep.sweeps import TINY, figures

SETTINGS = changed(
    TINY, "trainer.max_tasks=3", "checkpoint.keep_tasks=true", "trainer.inc_epochs=2", "memory.size=20",
    "optimizer.lr=0.01",
)  # fmt: skip


def job_of(*arguments):
    (job,) = plan(list(arguments)).jobs
    return job


def experiment(folder, *arguments, resume=False):
    run_experiment(job_of(*arguments), folder, resume)
    return folder


def final(folder):
    (path,) = (folder / "checkpoints").glob("final-*.pt")
    return read_checkpoint(path)


def assert_same(a, b, place=""):
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), place
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), place
        for key in a:
            if key != "train_seconds":
                assert_same(a[key], b[key], f"{place}.{key}")
    elif isinstance(a, list):
        assert len(a) == len(b), place
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{place}[{i}]")
    else:
        assert a == b, place


@pytest.fixture(scope="module")
def ancestor(tmp_path_factory):
    return experiment(tmp_path_factory.mktemp("ancestor") / "run", *SETTINGS)


@pytest.mark.parametrize("task", [1, 2])
def test_a_branch_with_the_same_settings_equals_the_unbroken_run(ancestor, tmp_path, task):
    branch = experiment(tmp_path / "branch", f"rerun={ancestor}", f"from_task={task}")
    for part in ("method", "task_end"):
        assert_same(final(branch)[part], final(ancestor)[part], part)
    records, result = figures(branch)
    whole_records, whole = figures(ancestor)
    assert records == whole_records
    told = result.pop("branch")
    assert [one.pop("inherited", None) for one in result["tasks"]] == [whole["config_id"]] * task + [None] * (3 - task)
    assert result.pop("config_id") != whole["config_id"]
    noted = {key: result["settings"].pop(key) for key in ("branch.task", "branch.run_id")}
    assert noted == {"branch.task": task, "branch.run_id": whole["config_id"]}
    whole["settings"] = {key: value for key, value in whole["settings"].items() if key not in noted}
    assert result == {key: value for key, value in whole.items() if key != "config_id"}
    assert (told["run_id"], told["task"], told["run"]) == (whole["config_id"], task, str(ancestor))
    assert [share["tasks"] for share in told["inherited"]] == [list(range(1, task + 1))]


@pytest.mark.parametrize(
    "settings",
    [
        ("method=foster",),
        ("method=bic", "memory.size=40", "dataset.max_train_per_class=12"),
        ("method=replay", "memory.total_mb=0.325"),
    ],
)
def test_so_does_one_of_another_method_or_with_a_budget(tmp_path, settings):
    unbroken = experiment(tmp_path / "unbroken", *changed(SETTINGS, *settings))
    branch = experiment(tmp_path / "branch", f"rerun={unbroken}", "from_task=2")
    assert figures(branch)[0] == figures(unbroken)[0]
    assert_same(final(branch)["method"], final(unbroken)["method"])


def test_its_hours_are_its_own(ancestor, tmp_path):
    started = time.monotonic()
    branch = experiment(tmp_path / "branch", f"rerun={ancestor}", "from_task=2")
    elapsed = time.monotonic() - started
    stored = CheckpointFolder(ancestor / "checkpoints").after_task(2)
    assert stored["seconds"] > 0
    assert 0 < json.loads((branch / "result.json").read_text())["seconds"] < elapsed


def test_a_branch_of_a_branch(ancestor, tmp_path):
    first = experiment(tmp_path / "first", f"rerun={ancestor}", "from_task=1", "ant_margin=0.3")
    second = experiment(tmp_path / "second", f"rerun={first}", "from_task=2", "trainer.inc_epochs=1")
    result = json.loads((second / "result.json").read_text())
    ids = [json.loads((folder / "result.json").read_text())["config_id"] for folder in (ancestor, first)]
    assert [task.get("inherited") for task in result["tasks"]] == [*ids, None]
    assert [task["epochs"] for task in result["tasks"]] == [1, 2, 1]
    assert [share["config"]["ant_margin"] for share in result["branch"]["inherited"]] == [0.1, 0.3]


def test_a_smaller_memory_cuts_the_exemplars(ancestor, tmp_path):
    branch = experiment(tmp_path / "branch", f"rerun={ancestor}", "from_task=2", "memory.size=10")
    old = CheckpointFolder(ancestor / "checkpoints").after_task(2)["trainer"]["task_end"]["memory"]["indices"]
    result = json.loads((branch / "result.json").read_text())
    assert result["tasks"][2]["exemplars"] == 6 and sum(map(len, old.values())) == 20
    assert result["tasks"][2]["train_images"] == 2 * 6 + 8


@pytest.mark.parametrize(
    "changes", [["trainer.precision=bf16"], ["seed=5", "loss.name=infonce"], ["method.init=fresh"]]
)
def test_other_settings_start_from_the_same_state(ancestor, tmp_path, changes):
    branch = experiment(tmp_path / "branch", f"rerun={ancestor}", "from_task=1", "trainer.max_tasks=2", *changes)
    (records, result), (_, whole) = figures(branch), figures(ancestor)
    assert result["matrices"]["top1"][0] == whole["matrices"]["top1"][0]
    assert len(result["tasks"]) == 2
    assert [record["task"] for record in records] == [1, 1, 2, 2, 2]


class StopAfterOneStep(live.RunObserver):
    """Stands for a signal during the first step."""

    def on_step(self, progress, state):
        self.stop.received = signal.SIGTERM
        super().on_step(progress, state)


def test_a_continued_branch_needs_no_ancestor(ancestor, tmp_path, monkeypatch):
    copy = tmp_path / "copy"
    shutil.copytree(ancestor, copy)
    arguments = (f"rerun={copy}", "from_task=1", "ant_margin=0.3")
    whole = experiment(tmp_path / "whole", *arguments)
    with monkeypatch.context() as patched:
        patched.setattr("cil.run.experiment.RunObserver", StopAfterOneStep)
        with pytest.raises(Interrupted):
            experiment(tmp_path / "broken", *arguments)
    shutil.rmtree(copy)
    broken = experiment(tmp_path / "broken", f"resume={tmp_path / 'broken'}", resume=True)
    assert figures(broken) == figures(whole)
    assert_same(final(broken)["method"], final(whole)["method"])


def test_the_command(ancestor, tmp_path):
    done = train(f"rerun={ancestor}", "from_task=1", "trainer.max_tasks=2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "branches off" in done.stdout
    whole = train(f"rerun={ancestor}", "hydra.run.dir=here/it is", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    assert (tmp_path / "here/it is/result.json").is_file()
    refused = train(f"rerun={ancestor}", "from_task=1", "split.base=4", cwd=tmp_path)
    assert (refused.returncode, len(refused.stderr.strip().splitlines())) == (2, 1), refused.stderr


def kept_otherwise(ancestor, tmp_path, change):
    """A copy of the ancestor with another state after task 1."""
    shutil.copytree(ancestor, tmp_path / "copy")
    folder = tmp_path / "copy/checkpoints"
    (path,) = folder.glob("task-01-*.pt")
    state = read_checkpoint(path)
    path.unlink()
    change(state)
    write_checkpoint(folder, "task-01", state)
    return tmp_path / "copy"


def test_a_model_kept_by_an_earlier_version_is_no_state(ancestor, tmp_path):
    def strip(state):
        for name in state.keys() - {"config", "method", "task_end"}:
            del state[name]

    copy = kept_otherwise(ancestor, tmp_path, strip)
    with pytest.raises(ConfigError, match=r"what .*copy has kept of task 1 is its model alone"):
        experiment(tmp_path / "branch", f"rerun={copy}", "from_task=1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.update(data="other"), "the images are not those"),
        (lambda state: state["config"].update(seed=9), "are not of the same run"),
    ],
)
def test_a_state_of_something_else_is_refused(ancestor, tmp_path, change, message):
    copy = kept_otherwise(ancestor, tmp_path, change)
    with pytest.raises(DataError, match=message):
        experiment(tmp_path / "branch", f"rerun={copy}", "from_task=1")


def test_a_state_that_does_not_fit_is_told_in_one_line(ancestor, tmp_path):
    copy = kept_otherwise(ancestor, tmp_path, lambda state: state["method"]["network"].popitem())
    with pytest.raises(ConfigError, match="from_task: the state does not fit the settings") as caught:
        experiment(tmp_path / "branch", f"rerun={copy}", "from_task=1")
    assert "\n" not in str(caught.value)


def test_a_damaged_state_is_named(ancestor, tmp_path):
    shutil.copytree(ancestor, tmp_path / "copy")
    (path,) = (tmp_path / "copy/checkpoints").glob("task-01-*.pt")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="checksum"):
        experiment(tmp_path / "branch", f"rerun={tmp_path / 'copy'}", "from_task=1")


def test_tasks_of_other_code_are_not_taken_over(ancestor, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "VERSIONS", {"loss.ant": 2})
    with pytest.raises(ConfigError, match=r"these have changed: loss\.ant \(version 1, now 2\)"):
        experiment(tmp_path / "branch", f"rerun={ancestor}", "from_task=1", "loss.name=infonce")


def test_a_branch_killed_before_its_first_checkpoint_begins_once_more(ancestor, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(self, state):
        raise Killed

    arguments, folder = (f"rerun={ancestor}", "from_task=2"), tmp_path / "branch"
    with monkeypatch.context() as patched:
        patched.setattr(live.Saver, "save", killed)
        with pytest.raises(Killed):
            experiment(folder, *arguments)
    assert (folder / "metrics.jsonl").stat().st_size and not list((folder / "checkpoints").glob("*.pt"))
    experiment(folder, f"resume={folder}", resume=True)
    assert figures(folder)[0] == figures(ancestor)[0]
