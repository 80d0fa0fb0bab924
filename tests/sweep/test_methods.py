"""Every method in one sweep: run, skipped when run again, and compared in one report."""

import json
from pathlib import Path

import pytest

from cil.config.methods import available_methods
from tests.report.helpers import paragraphs, problem_of, report_of, table
from tests.sweep.sweeps import SWEEP, sweep

METHODS = available_methods()
COMMAND = (f"method={','.join(METHODS)}", "seed=1", "trainer.init_epochs=2", "loss=ant", "ant_margin=0.2")
COMMAND += ("memory.size=20", "dataset.max_train_per_class=12")  # bic holds something out


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The finished sweep, with another number of epochs in task 1 than later: joint trains as in task 1 throughout."""
    place = tmp_path_factory.mktemp("methods")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert sweep(*COMMAND) == 0
    return place / SWEEP


def results(folder: Path) -> dict[str, dict]:
    found = {}
    for path in folder.glob("*/result.json"):
        method = next(line for line in (path.parent / "config.yaml").read_text().split("method:\n")[1].splitlines())
        found[method.strip().removeprefix("name: ")] = json.loads(path.read_text())
    return found


def test_each_job_is_skipped_when_the_command_is_given_again(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder.parents[2])
    before = {path: path.read_bytes() for path in folder.glob("*/*.json*")}
    assert sweep(*COMMAND) == 0
    assert f"{len(METHODS)} jobs: {len(METHODS)} skipped" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in folder.glob("*/*.json*")} == before


def test_a_task_has_the_epochs_its_method_gives_it(folder):
    epochs = {method: [task["epochs"] for task in result["tasks"]] for method, result in results(folder).items()}
    others = {"joint": [2, 2], "bic": [2, 2], "foster": [2, 2]}  # from fresh weights; two phases; two phases
    assert epochs == {method: others.get(method, [2, 1]) for method in METHODS}


def test_all_of_them_count_in_the_report(folder):
    report = report_of(folder)
    assert not report.problems[0].warnings
    rows = table(report, "Results")
    assert sorted(row["group"].removesuffix(" (baseline)") for row in rows) == [f"method={name}" for name in METHODS]
    assert all(row["n"] == "1" for row in rows)
    assert not any(block for block in report.document.blocks if "absent" in str(block))
    assert problem_of(folder).keys == ["method.name"]
    (warning,) = paragraphs(report, "warning")  # they are tiny; nothing else is wrong
    assert f"{len(METHODS)} of {len(METHODS)} runs did not learn the classes of a task" in warning
