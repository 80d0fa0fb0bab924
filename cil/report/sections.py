"""The parts of a report: what is said about a problem, in which order."""

from collections.abc import Sequence

from cil.report.compare import ALPHA, VariantComparison, effect_text, p_text, significant, verdict
from cil.report.conclusion import head_notes
from cil.report.document import Document, Paragraph, Table
from cil.report.fairness import primary_figure
from cil.report.figures import (
    ACCURACIES,
    DYNAMICS,
    SIZES,
    UNPRUNED,
    VAL,
    Figure,
    figure_of,
    figure_value,
    interval_text,
    time_figure,
)
from cil.report.groups import Group, Problem, group_text
from cil.report.matched import matched_lines


def table_figures(problem: Problem) -> list[Figure]:
    """The figures shown for a problem: validation ones first where every run has them; sizes where some run does."""
    val = [figure_of(f"{VAL}{figure.key}") for figure in ACCURACIES[:2]] if problem.has_val else []
    sizes = [*SIZES] if has_sizes(problem) else []
    if any(figure_value(run, UNPRUNED[0].key) is not None for run in problem.runs):
        sizes += UNPRUNED
    duration = time_figure([figure_value(run, "hours") for run in problem.runs])
    return [*val, *ACCURACIES, *DYNAMICS, *sizes, duration]


def has_sizes(problem: Problem) -> bool:
    """Whether a run recorded what has to be kept; those of 0.1.0 did not."""
    return any(figure_value(run, SIZES[0].key) is not None for run in problem.runs)


def compared_keys(problem: Problem) -> list[str]:
    """Figures that variants are compared in, the ranking one first."""
    first, _ = primary_figure(problem)
    return list(dict.fromkeys([first, *(figure.key for figure in ACCURACIES)]))


def cell(figure: Figure, group: Group) -> str:
    """Mean ± sample standard deviation; the mean alone for one run; blank (a size: -) where nothing was measured.

    The number of values is added where it is not the group's number of runs. A size that all runs agree in has none.
    """
    summary = group.summary(figure.key)
    if summary.mean is None:
        return "-" if figure in (*SIZES, *UNPRUNED) else ""
    plain = summary.deviation is None or (figure in (*SIZES, *UNPRUNED) and not summary.deviation)
    spread = "" if plain else f" ± {figure.show(summary.deviation)}"
    count = "" if summary.n == len(group.runs) else f" (n = {summary.n})"
    return f"{figure.show(summary.mean)}{spread}{count}"


MARK = " *"
_MARKED = f"*: p (Holm) below {ALPHA:g}, and more than repeats of one run differ."


def add_tables(
    document: Document, problem: Problem, comparisons: Sequence[VariantComparison], factor_text: str
) -> None:
    """How a problem was compared, the answers for each variant, and its tables. comparisons: the best variant first."""
    key, note = primary_figure(problem)
    if problem.baseline is not None:
        document.add(
            Paragraph(f"Baseline: {problem.baseline.label} ({problem.baseline_reason}).", "note"),
            Paragraph(f"Factor compared: {factor_text}.", "note"),
            Paragraph(note, "note"),
        )
        document.texts(head_notes(problem), "note")
        document.texts([_answer(c, key, len(comparisons)) for c in comparisons], "answer")
    document.add(_group_table(problem, comparisons))
    document.texts(matched_lines(problem), "note")
    if problem.keys and len(problem.groups) > 1 and any(g.label != group_text(g, problem.keys) for g in problem.groups):
        rows = [[group.label, group_text(group, problem.keys)] for group in problem.groups]
        document.add(Table("Settings in which the groups differ", ["group", "settings"], rows, left=2))
    if comparisons:
        document.add(_effect_table(comparisons, key), _other_effects(comparisons, key))


def ranked(comparisons: Sequence[VariantComparison], key: str) -> list[VariantComparison]:
    """The best variant in the figure `key` first."""
    return sorted(comparisons, key=lambda c: _rank(c.variant, key))


def _rank(group: Group, key: str) -> float:
    mean = group.summary(key).mean
    return float("inf") if mean is None else -mean * (figure_of(key).better or 1)


def _answer(comparison: VariantComparison, key: str, variants: int) -> str:
    one = comparison.by_figure[key]
    text = f"{comparison.variant.label}: {one.figure.label} {effect_text(one)} — {verdict(one, one.floor, variants)}"
    if comparison.beyond:
        text += f". NOT A FAIR COMPARISON: also differs in {'; '.join(comparison.beyond)}"
    return text + "."


def _group_table(problem: Problem, comparisons: Sequence[VariantComparison]) -> Table:
    figures = table_figures(problem)
    marked = {(id(c.variant), key) for c in comparisons for key, one in c.by_figure.items() if significant(one)}
    units = "" if all(not figure.unit for figure in figures) else "top-1 in per cent"
    header = ["group", "n", "seeds", *(figure.title.replace(" (%)", "") for figure in figures)]
    rows = []
    for group in sorted(problem.groups, key=lambda group: _rank(group, primary_figure(problem)[0])):
        mark = " (baseline)" if group is problem.baseline else ""
        seeds = ", ".join(map(str, group.seeds))
        cells = [cell(f, group) + (MARK if (id(group), f.key) in marked else "") for f in figures]
        rows.append([group.label + mark, str(len(group.runs)), seeds, *cells])
    note = (
        f"Mean ± sample standard deviation over runs; {units}. average: mean over tasks of the accuracy over all "
        "classes so far; last: after the last task; NME: nearest mean of exemplars; gap and violations (share of "
        "negatives inside the margin, %): last epoch of the last task."
    )
    if has_sizes(problem):
        note += (
            " parameters (millions) and model: what is needed to predict after the last task, 4 bytes a number; "
            "exemplars: one byte a channel and pixel; total: both. MB: 10^6 bytes; -: not recorded."
        )
    if marked:
        note += f" {_MARKED} Compared with the baseline."
    return Table("Results", header, rows, note=note)


def _effect_table(comparisons: Sequence[VariantComparison], key: str) -> Table:
    figure, floor = figure_of(key), comparisons[0].by_figure[key].floor
    header = ["variant", "differs in", f"Δ {figure.label}", "95 % CI", "p (Holm)", "improved", "pairs", "conclusion"]
    rows = []
    for c in comparisons:
        one = c.by_figure[key]
        test = one.test
        interval = "" if test is None else interval_text(figure, test.low, test.high)
        improved = "" if test is None or one.improved is None else f"{one.improved}/{test.n}"
        pairs = f"{0 if test is None else test.n}" + (f" ({'; '.join(c.missing)})" if c.missing else "")
        differs = "; ".join(c.differing) or "nothing that is recorded"
        change = "" if test is None else figure.show(test.mean, signed=True) + (MARK if significant(one) else "")
        conclusion = verdict(one, floor, len(comparisons))
        rows.append([c.variant.label, differs, change, interval, p_text(one.p_holm), improved, pairs, conclusion])
    shown = "none known (no run was repeated)"
    if floor is not None:
        shown = f"{figure.show(floor.spread)} (largest spread; {floor.runs} runs that repeat {floor.units} of them)"
    note = (
        "Differences to the baseline, paired by seed and class order. Intervals are not corrected; p values are, over "
        f"the {len(comparisons)} variant{'s' if len(comparisons) > 1 else ''} (Holm). Noise floor: {shown}."
    )
    if any(significant(c.by_figure[key]) for c in comparisons):
        note += f" {_MARKED}"
    return Table(f"Against the baseline: {figure.label} top-1", header, rows, left=2, note=note)


def _other_effects(comparisons: Sequence[VariantComparison], key: str) -> Table:
    keys = [other for other in comparisons[0].by_figure if other != key]
    header = ["variant", *(f"Δ {figure_of(other).label}" for other in keys)]
    rows = []
    for comparison in comparisons:
        cells = []
        for other in keys:
            one = comparison.by_figure[other]
            test, figure = one.test, one.figure
            if test is None:
                cells.append("")
                continue
            text = figure.show(test.mean, signed=True) + (MARK if significant(one) else "")
            if interval := interval_text(figure, test.low, test.high):
                text += f" [{interval}] p {p_text(one.p_holm)}"
            cells.append(text + (f", {one.improved}/{test.n}" if one.improved is not None else ""))
        rows.append([comparison.variant.label, *cells])
    note = "Δ [95 % CI] p (Holm, over the variants, each figure by itself), seeds improved. Less forgetting is better."
    if any(significant(c.by_figure[other]) for c in comparisons for other in keys):
        note += f" {_MARKED}"
    return Table("Against the baseline: other figures", header, rows, note=note)
