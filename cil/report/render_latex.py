"""The main tables for a paper, with the booktabs package."""

import re
from collections.abc import Mapping, Sequence

from cil.report.compare import Comparison, VariantComparison, differences, noise_floor, p_text, significant
from cil.report.errors import ReportError
from cil.report.fairness import primary_figure
from cil.report.figures import ACCURACIES, Figure, estimable, figure_of, interval_text
from cil.report.groups import Group, Problem
from cil.report.sections import table_figures
from cil.report.significance import paired_test
from cil.report.title import slug

_ESCAPES: Mapping[str, str] = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "→": r"$\rightarrow$",
    "—": "---",
    "±": r"$\pm$",
    "<": "$<$",
    ">": "$>$",
} | {char: f"\\{char}" for char in "&%$#_{}"}


def check_columns(problems: Sequence[Problem], columns: Sequence[str]) -> None:
    """Raises ReportError for a column that no problem has."""
    figures = {figure.key: figure for problem in problems for figure in table_figures(problem)}
    for name in columns:
        if not any(_called(figure, name) for figure in figures.values()):
            valid = ", ".join(dict.fromkeys(_short(figure) for figure in figures.values()))
            raise ReportError(f"--columns: {name!r} is unknown; valid: {valid}")


def latex(
    problems: Sequence[Problem], comparisons: Sequence[Sequence[VariantComparison]], columns: Sequence[str] = ()
) -> str:
    """Results and differences to the baseline of each problem.

    comparisons: those of each problem. columns: figures of the results, by the heading of the report's table or by
    their key (`last`, `nme_average`, `last_top1`); without any: the accuracies and the time.
    """
    parts = ["% needs \\usepackage{booktabs}\n"]
    for problem, compared in zip(problems, comparisons, strict=True):
        parts.append(_results(problem, _chosen(problem, columns)))
        if compared:
            parts.append(_effects(problem, compared))
    return "\n".join(parts)


def _short(figure: Figure) -> str:
    return figure.label.replace(" ", "_")


def _called(figure: Figure, name: str) -> bool:
    wanted = name.strip().lower().replace(" ", "_").replace("-", "_")
    return wanted in (figure.key.lower(), _short(figure).lower()) or (figure.key == "hours" and wanted == "time")


def _chosen(problem: Problem, columns: Sequence[str]) -> list[Figure]:
    figures = table_figures(problem)
    if columns:
        return [figure for name in columns for figure in figures if _called(figure, name)]
    usual = {figure.key for figure in ACCURACIES} | {"hours"}
    return [figure for figure in figures if figure.key.removeprefix("val.") in usual]


def _results(problem: Problem, figures: Sequence[Figure]) -> str:
    bold = {figure.key: best_within_noise(problem, figure.key) for figure in figures}
    rows = []
    for group in problem.groups:
        cells = [_cell(figure, group, group in bold[figure.key]) for figure in figures]
        rows.append([escaped(group.label), str(len(group.runs)), *cells])
    header = ["", "runs", *(escaped(figure.title) for figure in figures)]
    caption = f"{escaped(problem.title)}. Mean $\\pm$ sample standard deviation over runs."
    if len(problem.groups) > 1:
        caption += " Bold: best, and not distinguishable from it (paired $t$ test, 5\\,\\%)."
    return _table(header, rows, caption, f"tab:{slug(problem.title)}-results")


def best_within_noise(problem: Problem, key: str) -> list[Group]:
    """The best group in a figure, and those that the runs cannot tell from it: p of 0.05 or more in the paired t test,
    or no further away than repeats of one run are. Empty for figures without a better side, times and single groups.
    """
    figure = figure_of(key)
    measured = [group for group in problem.groups if group.summary(key).mean is not None]
    if not figure.better or key == "hours" or len(problem.groups) < 2 or not measured:
        return []
    best = max(measured, key=lambda group: figure.better * group.summary(key).mean)  # type: ignore[operator]
    floor = noise_floor(problem, key)
    spread = floor.spread if floor else 0.0
    found = []
    for group in measured:
        values = differences(group, best, key)
        test = paired_test(values) if values and group is not best else None
        alike = test is not None and (abs(test.mean) <= spread or (test.p is not None and test.p >= 0.05))
        if group is best or alike:
            found.append(group)
    return found


def _cell(figure: Figure, group: Group, bold: bool) -> str:
    summary = group.summary(figure.key)
    if summary.mean is None:
        return "--"
    text = figure.show(summary.mean)
    if summary.deviation:
        text += rf" \pm {figure.show(summary.deviation)}"
    return rf"$\mathbf{{{text}}}$" if bold else f"${text}$"


def _effects(problem: Problem, comparisons: Sequence[VariantComparison]) -> str:
    assert problem.baseline is not None
    key, _ = primary_figure(problem)
    figure = figure_of(key)
    rows = [[escaped(c.variant.label), *_effect(c.by_figure[key])] for c in comparisons]
    header = ["", rf"$\Delta$ {escaped(figure.title)}", r"95\,\% CI", "$p$", "pairs"]
    caption = (
        f"{escaped(problem.title)}: differences to {escaped(problem.baseline.label)}, paired by seed and class order. "
        f"Intervals are not corrected; $p$ values are, over {len(comparisons)} variant"
        f"{'s' if len(comparisons) > 1 else ''} (Holm). Bold: significant at 5\\,\\%."
    )
    return _table(header, rows, caption, f"tab:{slug(problem.title)}-differences")


def _effect(one: Comparison) -> list[str]:
    test, figure = one.test, one.figure
    if test is None:
        return ["--", "--", "--", "0"]
    change = figure.show(test.mean, signed=True)
    change = rf"$\mathbf{{{change}}}$" if significant(one) else f"${change}$"
    interval = interval_text(figure, test.low, test.high, ", ") or "--"
    interval = f"$[{interval}]$" if estimable(figure, test.low, test.high) and test.low is not None else interval
    p = "--" if one.p_holm is None else f"${p_text(one.p_holm)}$"
    return [change, interval, p, str(test.n)]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str, label: str) -> str:
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{caption}}}", rf"\label{{{label}}}"]
    lines += [rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}", r"\toprule"]
    lines += [f"{' & '.join(cells)} \\\\" for cells in (header, *rows)]
    lines.insert(7, r"\midrule")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def escaped(text: str) -> str:
    """Text for LaTeX; a minus before a number is a real one."""
    safe = "".join(_ESCAPES.get(char, char) for char in text)
    return re.sub(r"(?<![\w.])-(\d[\d.]*)", r"$-\1$", safe)
