"""The notebooks of examples/ run from the first cell to the last, and what they say at the end is so."""

import json
import re
from pathlib import Path
from typing import Any

import matplotlib
import pytest

from tests.commands import PROJECT

EXAMPLES = sorted((PROJECT / "examples").glob("*.ipynb"))


def code_cells(path: Path) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


@pytest.fixture
def execute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs the code cells of a notebook in an empty folder with one epoch a task; returns their names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CIL_EXAMPLE_EPOCHS", "1")
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))  # for the report, a process of its own
    matplotlib.use("Agg")
    yield lambda name: _executed(PROJECT / "examples" / f"{name}.ipynb")
    matplotlib.pyplot.close("all")


def _executed(path: Path) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "notebook"}
    for number, cell in enumerate(code_cells(path), start=1):
        exec(compile("".join(cell["source"]), f"{path.name}, code cell {number}", "exec"), names)
    return names


def test_first_run(execute, capsys: pytest.CaptureFixture):
    names = execute("first_run")

    run = names["run"]
    end = capsys.readouterr().out.splitlines()[-2:]
    assert run.state == "finished" and len(run.metrics) == 5
    assert f"After task 5, {run.result['last_top1']:.1f} %" in end[0]
    assert f"{names['right']} of the 10" in end[1] and end[1].endswith("the same logits: True.")
    assert {"model.pt2", "model.safetensors", "classes.json"} <= {path.name for path in names["exported"].iterdir()}


@pytest.mark.faults
def test_the_comparison_and_the_report_give_one_answer(execute, capsys: pytest.CaptureFixture):
    names = execute("compare")

    end = capsys.readouterr().out.splitlines()[-2]
    interval = (names["mean"], names["low"], names["high"])
    assert names["reported"] == pytest.approx(interval)
    assert len(names["runs"]) == 10 and set(names["runs"]["state"]) == {"finished"}
    assert names["average"].loc[1, "ant"] != names["average"].loc[1, "infonce"]
    verdict = "is better" if names["low"] > 0 else "is worse" if names["high"] < 0 else "not distinguishable"
    assert verdict in end and f"{names['mean']:+.2f}" in end and "5 pairs" in end


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_stored_outputs_are_whole_and_small(path: Path):
    cells = code_cells(path)

    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not any(output["output_type"] == "error" or output.get("name") == "stderr" for output in outputs)
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert cells[-1]["outputs"], "what it says at the end"
    assert path.stat().st_size < 200_000
    assert not re.search(r"/(home|root|tmp|Users)/", path.read_text())
