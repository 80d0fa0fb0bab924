"""What MLflow and Weights & Biases are told of a run."""

import importlib
import sqlite3
import sys
from types import SimpleNamespace

import pytest

from cil.records.trackers import About, Mlflow, Wandb

ABOUT = About("try/1", "try", {"seed": 3, "loss.name": "ant", "split.sizes": None}, ["a", "b", "a"], "first")
EPOCH = {"kind": "epoch", "task": 2, "step": 7, "loss/total": 1.5, "test/top1": None, "lr": 0.1, "classes": [1]}
TASK = {"kind": "task", "task": 2, "step": 2, "task/top1": 61.25}


@pytest.fixture(scope="module")
def mlflow_store(tmp_path_factory):
    """The database of a run that was stopped and gone on with."""
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    path = tmp_path_factory.mktemp("mlflow") / "store.db"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
        patched.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
        first = Mlflow()
        run = first.begin(ABOUT, None)
        first.log(EPOCH)
        first.end("interrupted")
        second = Mlflow()
        assert second.begin(About("try/1", "try", tags=["c"]), run) == run
        second.log(TASK)
        second.end("finished")
        third = Mlflow()
        third.begin(About("try/2", "try"), None)
    with sqlite3.connect(path) as store:
        yield run, store


def test_mlflow_has_one_run_for_each_of_ours_in_one_experiment(mlflow_store):
    _, store = mlflow_store
    found = dict(store.execute("select name, status from runs"))
    assert found == {"try/1": "FINISHED", "try/2": "RUNNING"}
    names = "select distinct e.name from experiments e join runs r on e.experiment_id = r.experiment_id"
    assert store.execute(names).fetchall() == [("try",)]


def test_mlflow_has_figures_settings_tags_and_notes(mlflow_store):
    run, store = mlflow_store
    figures = set(store.execute("select key, step, value from metrics where run_uuid = ?", (run,)))
    assert figures == {("loss/total", 7, 1.5), ("lr", 7, 0.1), ("task/top1", 2, 61.25)}
    settings = dict(store.execute("select key, value from params where run_uuid = ?", (run,)))
    assert settings == {"seed": "3", "loss.name": "ant", "split.sizes": "null"}
    tags = dict(store.execute("select key, value from tags where run_uuid = ?", (run,)))
    assert (tags["tags"], tags["mlflow.note.content"]) == ("c", "")


@pytest.fixture
def wandb(monkeypatch):
    """A package that keeps what it is told; `mode` and `logged_in` are what it says of itself."""
    calls = []
    run = SimpleNamespace(
        id="abc",
        define_metric=lambda name, step_metric: calls.append(("axis", name, step_metric)),
        log=lambda figures: calls.append(figures),
        finish=lambda exit_code: calls.append(("finish", exit_code)),
    )

    def init(**facts):
        calls.append(facts)
        return run

    package = SimpleNamespace(
        calls=calls,
        mode="offline",
        logged_in=False,
        init=init,
        Settings=lambda **settings: settings,
        login=lambda prompt, verify: package.logged_in,
        setup=lambda: SimpleNamespace(settings=SimpleNamespace(mode=package.mode)),
    )
    monkeypatch.setitem(sys.modules, "wandb", package)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    return package


def test_wandb_is_told_all_of_a_run(wandb):
    tracker = Wandb()
    assert tracker.begin(ABOUT, "abc") == "abc"
    tracker.log(EPOCH)
    tracker.log(TASK)
    tracker.end("interrupted")
    begun, *rest = wandb.calls
    settings = begun.pop("settings")
    assert begun == {
        "project": "cil", "group": "try", "name": "try/1", "id": "abc", "resume": "allow",
        "config": ABOUT.settings, "tags": ["a", "b"], "notes": "first",
    }  # fmt: skip
    assert settings["console"] == "off", "stdout and stderr are the run's"
    assert rest == [
        ("axis", "*", "epoch"),
        ("axis", "task/*", "task"),
        {"loss/total": 1.5, "lr": 0.1, "epoch": 7},
        {"task/top1": 61.25, "task": 2},
        ("finish", 130),
    ]


def test_wandb_gets_an_id_that_a_continued_run_can_name(wandb):
    Wandb().begin(ABOUT, None)
    assert len(wandb.calls[0]["id"]) >= 8


def test_wandb_asks_nobody_for_a_key(wandb):
    wandb.mode = "online"
    with pytest.raises(RuntimeError, match="not logged in; run `wandb login` first, or set WANDB_MODE=offline"):
        Wandb().begin(ABOUT, None)
    assert wandb.calls == []
    wandb.logged_in = True
    Wandb().begin(ABOUT, None)


def test_the_real_wandb_writes_an_offline_run(tmp_path, monkeypatch):
    if importlib.util.find_spec("wandb") is None:
        pytest.skip("wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    tracker = Wandb()
    run = tracker.begin(ABOUT, None)
    tracker.log(EPOCH)
    tracker.log(TASK)
    tracker.end("finished")
    (written,) = tmp_path.glob(f"wandb/offline-run-*/run-{run}.wandb")
    assert written.stat().st_size > 0
