"""Runs under a folder as the report's groups, and the report itself."""

from pathlib import Path
from typing import Any

from cil.report.build import Report, Request, build
from cil.report.document import Paragraph, Table
from cil.report.groups import Problem, make_problems
from cil.report.runs import find_runs


def problems_of(folder: Path) -> list[Problem]:
    return make_problems(find_runs([folder]).runs)[0]


def problem_of(folder: Path) -> Problem:
    (problem,) = problems_of(folder)
    return problem


def report_of(folder: Path, **request: Any) -> Report:
    return build(Request([folder], **request))


def paragraphs(report: Report, kind: str) -> list[str]:
    return [block.text for block in report.document.blocks if isinstance(block, Paragraph) and block.kind == kind]


def table(report: Report, title: str) -> list[dict[str, str]]:
    """Rows of the table whose title starts like this, by column."""
    (found,) = [b for b in report.document.blocks if isinstance(b, Table) and b.title.startswith(title)]
    return [dict(zip(found.header, row, strict=True)) for row in found.rows]
