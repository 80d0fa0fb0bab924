"""Tables for spreadsheets and data frames: one row a group, one row a run, one row a value of a curve."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from cil.report.compare import VariantComparison
from cil.report.groups import Problem
from cil.report.rows import curve_rows, rows
from cil.report.runs import Found
from cil.report.sections import table_figures
from cil.report.settings import show_setting

_DELTAS = ("pairs", "delta", "delta_low", "delta_high", "p_holm")


def groups_csv(problems: Sequence[Problem], comparisons: Sequence[Sequence[VariantComparison]]) -> str:
    """One row a group, numbers unrounded: settings that differ, mean and deviation, and the paired differences.

    comparisons: those of each problem.
    """
    keys = list(dict.fromkeys(key for problem in problems for key in problem.keys))
    figures = list(dict.fromkeys(f.key for problem in problems for f in table_figures(problem)))
    found = []
    for problem, compared in zip(problems, comparisons, strict=True):
        by_group = {id(c.variant): c for c in compared}
        for group in problem.groups:
            row: dict[str, object] = {"problem": problem.title, "group": group.label, "n": len(group.runs)}
            row |= {"seeds": " ".join(map(str, group.seeds)), "baseline": group is problem.baseline}
            row |= {key: show_setting(group.settings[key]) for key in keys if key in group.settings}
            for figure in figures:
                summary = group.summary(figure)
                row |= {f"{figure}_mean": summary.mean, f"{figure}_sd": summary.deviation}
            comparison = by_group.get(id(group))
            for figure, one in comparison.by_figure.items() if comparison else ():
                test = one.test
                values = (None,) * 4 if test is None else (test.n, test.mean, test.low, test.high)
                row |= dict(zip((f"{figure}_{name}" for name in _DELTAS), (*values, one.p_holm), strict=True))
            found.append(row)
    return _csv(found)


def runs_csv(found: Found, problems: Sequence[Problem]) -> str:
    """One row a run that counts, numbers unrounded, with a column for each setting and figure."""
    return _csv(rows(found, problems))


def curves_csv(problems: Sequence[Problem]) -> Iterable[str]:
    """The lines of the long table of all curves of the runs that count, a few at a time: it may be large."""
    columns = ("run", "task", "epoch", "step", "tag", "value")
    yield ",".join(columns) + "\n"
    for problem in problems:
        for run in problem.runs:
            yield _csv(curve_rows([run]), columns, header=False)


def _csv(found: Iterable[dict[str, Any]], columns: Sequence[str] = (), header: bool = True) -> str:
    listed = list(found)
    names = columns or list(dict.fromkeys(column for row in listed for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(listed)
    return text.getvalue()
