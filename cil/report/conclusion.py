"""The answer of a problem in one sentence, in words that the statistics allow."""

from collections.abc import Sequence

from cil.report.compare import Comparison, VariantComparison, p_text, significant
from cil.report.figures import VAL, estimable, figure_of, interval_text, own_head
from cil.report.groups import Problem

_LISTED = 3
_FEW = 2
"""With so few seeds, an interval is wide whatever is compared."""


def conclude(problem: Problem, comparisons: Sequence[VariantComparison], key: str) -> str:
    """What the runs say about the figure `key`. comparisons: the best variant first."""
    if problem.baseline is None or not comparisons:
        return _alone(problem, key)
    base = problem.baseline.spoken
    better = [c for c in comparisons if significant(c.by_figure[key]) and _good(c.by_figure[key])]
    worse = [c for c in comparisons if significant(c.by_figure[key]) and not _good(c.by_figure[key])]
    if len(comparisons) == 1:
        (only,) = comparisons
        text = _one(only, base, key, bool(better), bool(worse))
    elif better:
        first = better[0]
        text = (
            f"{len(better)} of {len(comparisons)} variants {'is' if len(better) == 1 else 'are'} better than {base}; "
            f"the best is {first.variant.label}: {_effect(first.by_figure[key])}."
        )
    else:
        text = _none_better(comparisons, base, key)
    if worse and len(comparisons) > 1:
        more = f" and {len(worse) - _LISTED} more" if len(worse) > _LISTED else ""
        named = ", ".join(c.variant.label for c in worse[:_LISTED]) + more
        text += f" {'Worse' if better else 'Significantly worse'}: {named}."
    return text + _unfair(better[:1] or comparisons[:1]) + _elsewhere(comparisons, key)


def _good(one: Comparison) -> bool:
    return one.test is not None and one.test.mean * one.figure.better > 0


def _alone(problem: Problem, key: str) -> str:
    group = problem.baseline or problem.groups[0]
    figure, summary = figure_of(key), group.summary(key)
    if summary.mean is None:
        return "One group of runs, and nothing to compare it with."
    spread = "" if summary.deviation is None else f" ± {figure.show(summary.deviation)}"
    runs = "one run" if summary.n == 1 else f"{summary.n} runs"
    return f"{group.label}: {_named(key)} {figure.show(summary.mean)}{spread} % ({runs}); nothing to compare it with."


def _one(only: VariantComparison, base: str, key: str, better: bool, worse: bool) -> str:
    label, one = only.variant.label, only.by_figure[key]
    if better or worse:
        return f"{label} is {'better' if better else 'worse'} than {base}: {_effect(one)}."
    return f"Not shown that {label} differs from {base}: {_effect(one)}.{_why(one)}"


def _none_better(comparisons: Sequence[VariantComparison], base: str, key: str) -> str:
    tested = [c for c in comparisons if c.by_figure[key].test is not None]
    if not tested:
        return f"Nothing can be compared: no variant has a seed in common with {base}."
    best = max(tested, key=lambda c: c.by_figure[key].test.mean * (figure_of(key).better or 1))  # type: ignore[union-attr]
    one = best.by_figure[key]
    return (
        f"None of {len(comparisons)} variants is shown to be better than {base}; the best of them is "
        f"{best.variant.label}: {_effect(one)}.{_why(one)}"
    )


def _why(one: Comparison) -> str:
    """What stands in the way of a conclusion, where it is more than the noise of seeds."""
    test, floor = one.test, one.floor
    if test is None:
        return ""
    if test.n == 1:
        return " One seed says nothing about the next one: run more of them."
    if test.p is None:
        return " All seeds agree to the last digit, so there is no interval."
    if floor is not None and one.p_holm is not None and one.p_holm < 0.05 and abs(test.mean) <= floor.spread:
        return " Repeats of one run differ as much."
    if not estimable(one.figure, test.low, test.high):
        return f" With {test.n} {one.paired_by} nothing can be told: the interval goes beyond 100 points."
    return f" With {test.n} seeds only a large difference could be shown." if test.n <= _FEW and test.mean else ""


def _effect(one: Comparison) -> str:
    """E.g. 'average top-1 +1.25 points (95 % CI 0.40 to 2.10; p = 0.012; 3 seeds)'."""
    test, figure = one.test, one.figure
    if test is None:
        return "they have no seed in common"
    parts = []
    if interval := interval_text(figure, test.low, test.high, " to "):
        parts.append(f"95 % CI {interval}")
    if one.p_holm is not None:
        p = p_text(one.p_holm)
        parts.append(f"corrected p {p}" if p.startswith("<") else f"corrected p = {p}")
    parts.append(f"{test.n} {one.paired_by}" if test.n != 1 else "one seed")
    return f"{_named(figure.key)} {figure.show(test.mean, signed=True)} points ({'; '.join(parts)})"


def _named(key: str) -> str:
    figure = figure_of(key.removeprefix(VAL))
    return f"{figure.label} top-1" + (" on validation images" if key.startswith(VAL) else "")


def _unfair(named: Sequence[VariantComparison]) -> str:
    beyond = [text for comparison in named for text in comparison.beyond]
    more = f" and {len(beyond) - _LISTED} more settings" if len(beyond) > _LISTED else ""
    return f" NOT A FAIR COMPARISON: it also differs in {'; '.join(beyond[:_LISTED])}{more}." if beyond else ""


def _elsewhere(comparisons: Sequence[VariantComparison], key: str) -> str:
    """Other figures in which something is significant, and for how many variants; the tables have the numbers."""
    found = []
    for other in comparisons[0].by_figure if comparisons else ():
        marked = [_good(c.by_figure[other]) for c in comparisons if significant(c.by_figure[other])]
        counts = [(marked.count(good), word) for good, word in ((True, "better"), (False, "worse"))]
        words = [word if len(comparisons) == 1 else f"{count} {word}" for count, word in counts if count]
        if other != key and words:
            found.append(f"{figure_of(other).label} ({', '.join(words)})")
    return f" Significant in other figures: {', '.join(found)}." if found else ""


def head_notes(problem: Problem) -> list[str]:
    """Of methods that do not predict with the classifier: which columns are theirs."""
    notes = []
    for group in problem.groups:
        heads = {own_head(run) for run in group.runs.values()} - {""}
        for head in sorted(heads):
            notes.append(
                f"{group.label} predicts with {head.upper()}, not with its classifier: its own figures are the "
                f"{head.upper()} columns."
            )
    return notes
