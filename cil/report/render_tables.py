"""Tables for other programs: LaTeX for papers, CSV for spreadsheets."""

import csv
import io
from collections.abc import Sequence

from cil.report.compare import VariantComparison
from cil.report.document import Document, Table
from cil.report.figures import figure_value
from cil.report.groups import Problem
from cil.report.sections import table_figures
from cil.report.settings import show_setting

_ESCAPES = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {
    char: f"\\{char}" for char in "&%$#_{}"
}
_SYMBOLS = {"Δ": r"$\Delta$", "±": r"$\pm$", "→": r"$\rightarrow$", "—": "---", "<": "$<$", ">": "$>$"}


def latex(document: Document) -> str:
    """The main tables, with the booktabs package."""
    tables = [block for block in document.blocks if isinstance(block, Table) and block.latex and block.rows]
    return "% needs \\usepackage{booktabs}\n" + "\n".join(_latex_table(table) for table in tables)


def _latex_table(table: Table) -> str:
    columns = "l" * table.left + "r" * (len(table.header) - table.left)
    lines = [r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    lines += [_latex_row(table.header), r"\midrule", *(_latex_row(row) for row in table.rows), r"\bottomrule"]
    caption = _escaped(f"{table.title}. {table.note}")
    return "\n".join([*lines, r"\end{tabular}", rf"\caption{{{caption}}}", r"\end{table}", ""])


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(_escaped(cell) for cell in cells) + r" \\"


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(char, _SYMBOLS.get(char, char)) for char in text)


def groups_csv(problems: Sequence[Problem], comparisons: Sequence[Sequence[VariantComparison]]) -> str:
    """One row a group, numbers unrounded: settings that differ, mean and deviation, and the paired differences.

    comparisons: those of each problem.
    """
    keys = list(dict.fromkeys(key for problem in problems for key in problem.keys))
    figures = list(dict.fromkeys(f.key for problem in problems for f in table_figures(problem)))
    rows = []
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
            rows.append(row)
    return _csv(rows)


_DELTAS = ("pairs", "delta", "delta_low", "delta_high", "p_holm")


def runs_csv(problems: Sequence[Problem]) -> str:
    """One row a run that counts, numbers unrounded."""
    rows = []
    for problem in problems:
        for group in problem.groups:
            for run in group.runs.values():
                row: dict[str, object] = {"run": str(run.path), "problem": problem.title, "group": group.label}
                row |= {"seed": run.seed, "class_order": run.order}
                rows.append(row | {f.key: figure_value(run, f.key) for f in table_figures(problem)})
    return _csv(rows)


def _csv(rows: Sequence[dict[str, object]]) -> str:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
