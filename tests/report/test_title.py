"""Titles from the data."""

from pathlib import Path

from cil.report.title import slug, title_of
from tests.report.helpers import problems_of
from tests.report.synthetic import INFONCE, flat_matrix, write_run


def test_what_differs_and_where(tmp_path: Path) -> None:
    write_run(tmp_path / "a", ant_margin=0.1, name="margins")
    write_run(tmp_path / "b", ant_margin=0.3, name="margins")
    assert title_of(problems_of(tmp_path)) == "margins: ant_margin on digits, 3 tasks of 2 classes"
    write_run(tmp_path / "c", name="margins", **INFONCE)
    assert title_of(problems_of(tmp_path)) == "margins: loss and ant_margin on digits, 3 tasks of 2 classes"


def test_many_settings_are_counted(tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", optimizer__lr=1.0, trainer__grad_clip_norm=1.0, loss__topk=3, loss__temperature=0.5)
    assert "and 2 more settings on" in title_of(problems_of(tmp_path))


def test_several_problems_and_none(tmp_path: Path) -> None:
    write_run(tmp_path / "a", flat_matrix(50.0, tasks=1))
    write_run(tmp_path / "b", flat_matrix(50.0, tasks=2))
    expected = "2 problems: digits, 1 task of 2 classes; digits, 2 tasks of 2 classes"
    assert title_of(problems_of(tmp_path)) == expected
    assert title_of([]) == "No finished run"


def test_slugs() -> None:
    assert slug("digits, 5 tasks of 2 + 3 x 1 (a=b)") == "digits-5-tasks-of-2-3-x-1-a-b"
