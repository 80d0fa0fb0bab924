"""`--tag`: which runs the report takes."""

from pathlib import Path

import pytest

from cil.report.errors import ReportError
from cil.report.runs import find_runs
from tests.report.helpers import report_of
from tests.report.synthetic import write_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_run(tmp_path / "both", tags=["paper", "margins"])
    write_run(tmp_path / "one", seed=2, tags=["paper"])
    write_run(tmp_path / "failed", seed=3, tags=["paper"], status={"state": "failed", "error": "x"})
    write_run(tmp_path / "older", seed=4)
    return tmp_path


def names(folder: Path, *tags: str) -> set[str]:
    found = find_runs([folder], tags)
    return {one.path.name for one in [*found.runs, *found.excluded]}


def test_runs_that_have_all_of_the_tags_whatever_their_state(folder: Path) -> None:
    assert names(folder) == {"both", "one", "failed", "older"}
    assert names(folder, "paper") == {"both", "one", "failed"}
    assert names(folder, "paper", "margins") == {"both"}


def test_a_tag_that_no_run_has_is_told_with_those_there_are(folder: Path) -> None:
    with pytest.raises(ReportError, match=r"^--tag: no run has marginz; tags of these runs: margins, paper$"):
        find_runs([folder], ["marginz"])
    with pytest.raises(ReportError, match=r"no run has marginz; tags of these runs: -$"):
        find_runs([folder / "older"], ["marginz"])


def test_of_several_places_one_may_have_none(folder: Path) -> None:
    assert [run.path.name for run in find_runs([folder / "older", folder / "one"], ["paper"]).runs] == ["one"]


def test_tags_tell_no_groups_apart_and_a_broken_configuration_has_none(folder: Path) -> None:
    assert [len(problem.groups) for problem in report_of(folder).problems] == [1]
    (folder / "one/config.yaml").write_text("tags: [")
    assert names(folder, "paper") == {"both", "failed"}
