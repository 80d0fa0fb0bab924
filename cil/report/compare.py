"""Variants against a baseline, paired by seed and class order."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cil.report.fairness import beyond_factor
from cil.report.figures import NOT_ESTIMABLE, Figure, estimable, figure_of, figure_value, interval_text
from cil.report.groups import Group, Problem, Unit, natural
from cil.report.significance import PairedTest, holm, paired_test

ALPHA = 0.05


@dataclass(frozen=True)
class NoiseFloor:
    """Largest spread (maximum - minimum) between runs of the same configuration and seed."""

    spread: float
    runs: int
    units: int


@dataclass
class Comparison:
    """One figure of a variant minus the baseline's."""

    figure: Figure
    test: PairedTest | None
    """None without a common seed."""
    improved: int | None
    """Pairs that got better; None for a figure that has no better side."""
    p_holm: float | None = None
    paired_by: str = "seeds"
    floor: NoiseFloor | None = None
    """Of this figure; None where nothing was repeated."""


@dataclass
class VariantComparison:
    """A variant against the baseline."""

    variant: Group
    by_figure: dict[str, Comparison]
    pairs: list[Unit]
    missing: list[str]
    """E.g. 'seed 3 has no run of the baseline'."""
    differing: list[str] = field(default_factory=list)
    beyond: list[str] = field(default_factory=list)
    """Settings beyond the declared factor in which the two differ."""


def common_units(a: Group, b: Group) -> list[Unit]:
    """Seeds and class orders of which both have a run."""
    return sorted(a.runs.keys() & b.runs.keys(), key=natural)


def differences(variant: Group, baseline: Group, key: str) -> list[float]:
    """The variant's figure minus the baseline's, for each common seed and class order where both were measured."""
    pairs = [
        (figure_value(variant.runs[unit], key), figure_value(baseline.runs[unit], key))
        for unit in common_units(variant, baseline)
    ]
    return [a - b for a, b in pairs if a is not None and b is not None]


def compare(problem: Problem, keys: Sequence[str], factor: Sequence[str]) -> list[VariantComparison]:
    """Every variant against the problem's baseline; p values are corrected over the variants, figure by figure."""
    baseline = problem.baseline
    if baseline is None:
        return []
    found = []
    for variant in problem.variants:
        differing, beyond = beyond_factor(variant, baseline, factor)
        pairs = common_units(variant, baseline)
        paired_by = "seeds" if len({order for _, order in pairs}) < 2 else "pairs of seed and class order"
        by_figure = {key: _compare_figure(variant, baseline, key, paired_by) for key in keys}
        missing = _missing(variant, baseline)
        found.append(VariantComparison(variant, by_figure, pairs, missing, differing, beyond))
    for key in keys:
        floor = noise_floor(problem, key)
        raw = [c.by_figure[key].test.p if c.by_figure[key].test else None for c in found]  # type: ignore[union-attr]
        for comparison, p in zip(found, holm(raw), strict=True):
            comparison.by_figure[key].p_holm = p
            comparison.by_figure[key].floor = floor
    return found


def _compare_figure(variant: Group, baseline: Group, key: str, paired_by: str) -> Comparison:
    figure, values = figure_of(key), differences(variant, baseline, key)
    if not values:
        return Comparison(figure, None, None)
    improved = sum(figure.better * value > 0 for value in values) if figure.better else None
    return Comparison(figure, paired_test(values), improved, paired_by=paired_by)


def _missing(variant: Group, baseline: Group) -> list[str]:
    texts = []
    several = len({order for _, order in (*variant.runs, *baseline.runs)}) > 1
    for here, there, name in ((variant, baseline, "the baseline"), (baseline, variant, "this variant")):
        lost = sorted(here.runs.keys() - there.runs.keys(), key=natural)
        if lost:
            shown = ", ".join(f"{seed} (order {order})" if several else str(seed) for seed, order in lost)
            texts.append(f"seed{'s' if len(lost) > 1 else ''} {shown}: no run of {name}")
    return texts


def noise_floor(problem: Problem, key: str) -> NoiseFloor | None:
    """The noise floor of a figure; None where nothing was repeated."""
    spreads, runs = [], 0
    for group in problem.groups:
        for repeats in group.repeats.values():
            values = [value for run in repeats if (value := figure_value(run, key)) is not None]
            if len(values) > 1:
                spreads.append(max(values) - min(values))
                runs += len(values)
    return NoiseFloor(max(spreads), runs, len(spreads)) if spreads else None


def significant(comparison: Comparison) -> bool:
    """Whether a difference counts: p below ALPHA after correction, and more than repeats of one run differ."""
    test, floor = comparison.test, comparison.floor
    if test is None or comparison.p_holm is None or comparison.p_holm >= ALPHA:
        return False
    return floor is None or abs(test.mean) > floor.spread


def p_text(value: float | None) -> str:
    """A p value for people; blank for None."""
    return "" if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"


def verdict(comparison: Comparison, floor: NoiseFloor | None, variants: int = 1) -> str:
    """What may be concluded, in words."""
    test, figure = comparison.test, comparison.figure
    if test is None:
        return "no common seed, so no comparison"
    if test.p is None:
        return "one pair of runs: no conclusion is possible" if test.n == 1 else "the same in every pair: no interval"
    if test.mean == 0 and test.low == test.high:
        return "no difference at all"
    if not estimable(figure, test.low, test.high):
        return f"{NOT_ESTIMABLE}: with {test.n} {comparison.paired_by} the interval goes beyond 100 points"
    assert comparison.p_holm is not None
    if comparison.p_holm >= ALPHA:
        if test.p < ALPHA:
            return f"not distinguishable from no effect once corrected for {variants} variants"
        return "not distinguishable from no effect"
    if floor is not None and abs(test.mean) <= floor.spread:
        return "inside the noise floor (repeats of one run differ as much)"
    if not figure.better:
        return "higher" if test.mean > 0 else "lower"
    return "better" if test.mean * figure.better > 0 else "worse"


def effect_text(comparison: Comparison) -> str:
    """E.g. '+0.40 (95 % CI -0.10..0.90, better in 3/3)'."""
    test, figure = comparison.test, comparison.figure
    if test is None:
        return "no pair"
    parts = []
    if interval := interval_text(figure, test.low, test.high):
        parts.append(f"95 % CI {interval}")
    if comparison.improved is not None:
        parts.append(f"{comparison.improved}/{test.n} {comparison.paired_by} improved")
    return f"{figure.show(test.mean, signed=True)} ({', '.join(parts) or f'n = {test.n}'})"
