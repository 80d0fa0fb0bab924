"""A sweep whose values Optuna chooses: what it is given, and what is said at its end."""

import json
import sqlite3
from pathlib import Path

import pytest
import yaml

import cil.train
from cil.planning.plan import plan
from cil.sweep.optimised import RESULTS, best_text, split_warnings
from tests.commands import changed, train
from tests.sweep.sweeps import SWEEP, TINY

pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")

STUDY = ["-m", "hydra/sweeper=optuna_study", "hydra.sweeper.n_trials=2", "ant_margin=interval(0.05,0.5)"]
HELD_OUT = changed(TINY, "dataset.max_train_per_class=null", "dataset.holdout_per_class=5")


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """The folder of one study of two trials, gone on with for two more; and what both commands said."""
    cwd = tmp_path_factory.mktemp("study")
    first, second = train(*STUDY, *HELD_OUT, cwd=cwd), train(*STUDY, *HELD_OUT, cwd=cwd)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    return cwd / SWEEP, first, second


def test_where_no_study_can_be_made_is_told_before_anything_starts(tmp_path):
    (tmp_path / "outputs").touch()
    done = train(*STUDY, *HELD_OUT, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    told = done.stderr.splitlines()[-1]
    assert told.startswith(f"configuration error: {SWEEP}: cannot be made, {tmp_path / 'outputs'} is no folder; choose")


def results(folder: Path) -> dict[str, dict]:
    return {path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/result.json")}


def test_every_trial_is_a_run_like_others(studies):
    folder, _, _ = studies
    found = results(folder)
    assert len(found) == 4
    assert {name: result["config_id"] for name, result in found.items()} == {name: name for name in found}


def test_the_value_is_that_of_the_images_held_out(studies):
    folder, _, _ = studies
    with sqlite3.connect(folder / "study.db") as study:
        values = [value for (value,) in study.execute("select value from trial_values")]
        assert study.execute("select count(*) from studies").fetchone() == (1,)
    validation = [result["val"]["incremental_avg_top1"] for result in results(folder).values()]
    assert sorted(values) == pytest.approx(sorted(validation))
    assert sorted(values) != pytest.approx(sorted(r["incremental_avg_top1"] for r in results(folder).values()))


def test_the_end_names_the_best_of_all_trials_its_images_and_its_run(studies):
    folder, first, second = studies
    params, value, run = (line.partition(": ")[2] for line in second.stdout.splitlines()[-3:])
    values = {name: result["val"]["incremental_avg_top1"] for name, result in results(folder).items()}
    best = values[Path(run).name]
    assert best == max(values.values())
    assert value == (
        f"{best:.2f} % average accuracy (incremental_avg_top1) on validation images (5 held out of each class)"
    )
    stored = yaml.safe_load((folder / Path(run).name / "config.yaml").read_text())
    assert (params, Path(run).parent) == (f"ant_margin={stored['ant_margin']}", SWEEP)
    assert "test images" not in first.stdout + first.stderr + second.stdout + second.stderr


@pytest.fixture
def noted(tmp_path, monkeypatch):
    """A sweep without held-out images, whose sweeper has left its result."""
    monkeypatch.chdir(tmp_path)
    planned = plan([*STUDY, *TINY])
    SWEEP.mkdir(parents=True)
    (SWEEP / RESULTS).write_text(yaml.safe_dump({"best_params": {"ant_margin": 0.25}, "best_value": 54.321}))
    return planned


def test_without_held_out_images_it_is_said_that_the_choice_is_made_on_the_test_set(noted):
    (warning,) = split_warnings(noted)
    assert "chosen on the test set; dataset.holdout_per_class=N" in warning
    text = best_text(noted)
    assert text is not None
    assert text.splitlines() == [
        "best parameters: ant_margin=0.25",
        "value: 54.32 % average accuracy (incremental_avg_top1) on test images",
        f"warning: {warning}",
    ]


def test_the_command_says_it_before_the_first_trial_and_after_the_last(noted, monkeypatch, capsys):
    monkeypatch.setattr("cil.train._hydra", lambda planned: print("the trials"))
    assert cil.train._start(noted) == 0
    said = capsys.readouterr()
    assert said.err == f"warning: {split_warnings(noted)[0]}\n"
    assert said.out == f"the trials\n{best_text(noted)}\n"


@pytest.mark.parametrize("content", [None, "a: [", "[1]", "solutions: []", "best_params: {a: 1}\nbest_value: x"])
def test_a_sweeper_that_leaves_something_else_is_passed_over(noted, content):
    (SWEEP / RESULTS).unlink()
    if content is not None:
        (SWEEP / RESULTS).write_text(content)
    assert best_text(noted) is None
