"""A whole run of digits by several processes: in double precision it is that of one."""

import math
from pathlib import Path
from typing import Any

import pytest

from tests.distributed.team import in_processes
from tests.faults.runs import SETTINGS, metrics, result

DEMO = ("device=cpu", "loss=ant_adaptive")
CASES = [
    pytest.param(2, SETTINGS, id="2-tiny"),
    pytest.param(2, DEMO, id="2-demo", marks=pytest.mark.faults),
    pytest.param(3, DEMO, id="3-demo", marks=pytest.mark.faults),
]


def trained(count: int, arguments: tuple[str, ...], folder: Path) -> Path:
    run = folder / f"of_{count}"
    given = (*arguments, f"hydra.run.dir={run}")
    in_processes("tests.distributed.double", count, *given, output=folder / f"log_{count}")
    return run


@pytest.fixture(scope="module")
def alone() -> dict[tuple[str, ...], Path]:
    """Runs of one process, by their arguments: each is trained by the first test that asks for it."""
    return {}


def same(ours: Any, theirs: Any) -> bool:
    """Whether two lines of metrics.jsonl hold the same, each figure to nine digits."""
    if isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(ours[name], theirs[name]) for name in theirs)
    if isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-9) if isinstance(theirs, float) else ours == theirs


@pytest.mark.parametrize(("count", "arguments"), CASES)
def test_its_accuracies_are_equal_and_its_curves_agree(count, arguments, alone, tmp_path_factory):
    if arguments not in alone:
        alone[arguments] = trained(1, arguments, tmp_path_factory.mktemp("alone"))
    run = trained(count, arguments, tmp_path_factory.mktemp("several"))
    assert result(run)["matrices"] == result(alone[arguments])["matrices"]
    assert result(run)["device"]["process_counts"] == [count]
    for ours, theirs in zip(metrics(run), metrics(alone[arguments]), strict=True):
        assert same(ours, theirs), (ours, theirs)
