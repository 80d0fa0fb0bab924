"""The parts of a report: what is said about a problem, in which order."""

from collections.abc import Sequence

from cil.report.compare import (
    NoiseFloor,
    VariantComparison,
    compare,
    effect_text,
    noise_floor,
    verdict,
)
from cil.report.document import Document, Heading, Paragraph, Table
from cil.report.expect import Outcome
from cil.report.fairness import primary_figure
from cil.report.figures import ACCURACIES, COSTS, DYNAMICS, SIZES, VAL, Figure, figure_of, figure_value
from cil.report.groups import Group, Problem, group_text
from cil.report.matched import matched_lines
from cil.report.reference import Reference, closest, difference_text
from cil.report.runs import Excluded


def table_figures(problem: Problem) -> list[Figure]:
    """The figures shown for a problem: validation ones first where every run has them; sizes where some run does."""
    val = [figure_of(f"{VAL}{figure.key}") for figure in ACCURACIES[:2]] if problem.has_val else []
    sizes = SIZES if has_sizes(problem) else ()
    return [*val, *ACCURACIES, *DYNAMICS, *sizes, *COSTS]


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
        return "-" if figure in SIZES else ""
    plain = summary.deviation is None or (figure in SIZES and not summary.deviation)
    spread = "" if plain else f" ± {figure.show(summary.deviation)}"
    count = "" if summary.n == len(group.runs) else f" (n = {summary.n})"
    return f"{figure.show(summary.mean)}{spread}{count}"


def add_problem(
    document: Document, problem: Problem, factor: Sequence[str], factor_text: str
) -> list[VariantComparison]:
    """Answers and tables of a problem; returns the comparisons."""
    comparisons = compare(problem, compared_keys(problem), factor)
    document.add(Heading(problem.title))
    key, note = primary_figure(problem)
    if problem.baseline is not None:
        document.add(
            Paragraph(f"Baseline: {problem.baseline.label} ({problem.baseline_reason}).", "note"),
            Paragraph(f"Factor compared: {factor_text}.", "note"),
            Paragraph(note, "note"),
        )
        floor = noise_floor(problem, key)
        ranked = sorted(comparisons, key=lambda c: _rank(c.variant, key))
        document.texts([_answer(c, key, floor, len(comparisons)) for c in ranked], "answer")
    document.add(_group_table(problem))
    document.texts(matched_lines(problem), "note")
    if problem.keys and len(problem.groups) > 1 and any(g.label != group_text(g, problem.keys) for g in problem.groups):
        rows = [[group.label, group_text(group, problem.keys)] for group in problem.groups]
        document.add(Table("Settings in which the groups differ", ["group", "settings"], rows, left=2))
    if comparisons:
        document.add(_effect_table(problem, comparisons, key), _other_effects(comparisons, key))
    return comparisons


def _rank(group: Group, key: str) -> float:
    mean = group.summary(key).mean
    return float("inf") if mean is None else -mean * (figure_of(key).better or 1)


def _answer(comparison: VariantComparison, key: str, floor: NoiseFloor | None, variants: int) -> str:
    one = comparison.by_figure[key]
    text = f"{comparison.variant.label}: {one.figure.label} {effect_text(one)} — {verdict(one, floor, variants)}"
    if comparison.beyond:
        text += f". NOT A FAIR COMPARISON: also differs in {'; '.join(comparison.beyond)}"
    return text + "."


def _group_table(problem: Problem) -> Table:
    figures = table_figures(problem)
    units = "" if all(not figure.unit for figure in figures) else "top-1 in per cent"
    header = ["group", "n", "seeds", *(figure.title.replace(" (%)", "") for figure in figures)]
    rows = []
    for group in sorted(problem.groups, key=lambda group: _rank(group, primary_figure(problem)[0])):
        mark = " (baseline)" if group is problem.baseline else ""
        seeds = ", ".join(map(str, group.seeds))
        rows.append([group.label + mark, str(len(group.runs)), seeds, *(cell(figure, group) for figure in figures)])
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
    return Table("Results", header, rows, note=note, latex=True)


def _effect_table(problem: Problem, comparisons: Sequence[VariantComparison], key: str) -> Table:
    figure, floor = figure_of(key), noise_floor(problem, key)
    header = ["variant", "differs in", f"Δ {figure.label}", "95 % CI", "p (Holm)", "improved", "pairs", "conclusion"]
    rows = []
    for c in sorted(comparisons, key=lambda c: _rank(c.variant, key)):
        one = c.by_figure[key]
        test = one.test
        interval = "" if test is None or test.low is None else f"{figure.show(test.low)}..{figure.show(test.high)}"
        improved = "" if test is None or one.improved is None else f"{one.improved}/{test.n}"
        pairs = f"{0 if test is None else test.n}" + (f" ({'; '.join(c.missing)})" if c.missing else "")
        differs = "; ".join(c.differing) or "nothing that is recorded"
        change = "" if test is None else figure.show(test.mean, signed=True)
        conclusion = verdict(one, floor, len(comparisons))
        rows.append([c.variant.label, differs, change, interval, _p(one.p_holm), improved, pairs, conclusion])
    shown = "none known (no run was repeated)"
    if floor is not None:
        shown = f"{figure.show(floor.spread)} (largest spread; {floor.runs} runs that repeat {floor.units} of them)"
    note = (
        "Differences to the baseline, paired by seed and class order. Intervals are not corrected; p values are, over "
        f"the {len(comparisons)} variants (Holm). Noise floor: {shown}."
    )
    return Table(f"Against the baseline: {figure.label} top-1", header, rows, left=2, note=note, latex=True)


def _other_effects(comparisons: Sequence[VariantComparison], key: str) -> Table:
    keys = [other for other in comparisons[0].by_figure if other != key]
    header = ["variant", *(f"Δ {figure_of(other).label}" for other in keys)]
    rows = []
    for comparison in sorted(comparisons, key=lambda c: _rank(c.variant, key)):
        cells = []
        for other in keys:
            one = comparison.by_figure[other]
            test, figure = one.test, one.figure
            if test is None:
                cells.append("")
                continue
            text = figure.show(test.mean, signed=True)
            if test.low is not None:
                text += f" [{figure.show(test.low)}..{figure.show(test.high)}] p {_p(one.p_holm)}"
            cells.append(text + (f", {one.improved}/{test.n}" if one.improved is not None else ""))
        rows.append([comparison.variant.label, *cells])
    note = "Δ [95 % CI] p (Holm, over the variants, each figure by itself), seeds improved. Less forgetting is better."
    return Table("Against the baseline: other figures", header, rows, note=note)


def _p(value: float | None) -> str:
    return "" if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"


def expectation_table(outcomes: Sequence[Outcome]) -> Table:
    """Each expectation: met, not met or not measured."""
    rows = [
        [o.experiment, o.expectation.text, o.group, o.expectation.rule, o.measured, o.state.upper()] for o in outcomes
    ]
    header = ["experiment", "expected", "group", "rule", "measured", "outcome"]
    note = (
        "Written down before the runs (conf/expect). A comparison with another group is met only if the whole 95 % "
        "interval of the paired differences is as expected."
    )
    return Table("Expectations", header, rows, left=5, note=note)


def reference_table(problem: Problem, reference: Reference) -> Table | None:
    """Own groups beside the published ones of the same data set and split."""
    published = reference.for_problem(problem)
    if not published:
        return None
    figures = (*ACCURACIES, *COSTS)
    rows = []
    for group in problem.groups:
        rows.append([group.label, "", str(len(group.runs)), *(cell(figure, group) for figure in figures)])
        nearest, keys = closest(group, published)
        for one in nearest:
            shown = f"minus published: {one.label}"
            differs = f"differs in {', '.join(keys)}" if keys else "same settings, as far as published"
            rows.append([shown, differs, "", *(difference_text(group, one, figure.key) for figure in figures)])
    for one in published:
        summaries = [(figure, one.summary(figure.key)) for figure in figures]
        cells = [
            figure.show(s.mean) + ("" if s.deviation is None else f" ± {figure.show(s.deviation)}")
            for figure, s in summaries
        ]
        rows.append([f"published: {one.label}", "", str(len(one.seeds)), *cells])
    header = ["group", "", "n", *(figure.title.replace(" (%)", "") for figure in figures)]
    note = f"{reference.title}. {reference.note} Differences of means, not paired: other machines and random numbers."
    return Table("Beside published figures", header, rows, left=2, note=note)


def runs_table(problems: Sequence[Problem]) -> Table:
    """The runs that count."""
    rows = []
    for problem in problems:
        for group in problem.groups:
            for run in group.runs.values():
                commit = str(run.result.get("git_commit") or "")[:10]
                average = figure_of("incremental_avg_top1").show(run.accuracies.get("incremental_avg_top1"))
                rows.append([str(run.path), group.label, str(run.seed), average, commit])
    return Table("Runs that count", ["run", "group", "seed", "average", "commit"], rows, left=2, page_only=True)


def excluded_table(excluded: Sequence[Excluded]) -> Table:
    """The runs that do not count, and why."""
    rows = [[str(one.path), one.reason] for one in excluded]
    return Table("Runs that do not count", ["run", "why"], rows, left=2)
