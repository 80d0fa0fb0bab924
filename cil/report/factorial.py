"""Main effects and interactions of a factorial: a grid of groups in which every combination of the factors' values is.

An effect of a factor with two values is, for each seed, the mean over all groups with the second value minus the mean
over all groups with the first; an interaction of two factors is half the difference between the effect of the one at
the two values of the other (Yates's convention). Both are paired by seed, as differences to the baseline are.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cil.config.typed import plain_value
from cil.config.usage import default_of, key_facts
from cil.report.compare import ALPHA, common_units, p_text
from cil.report.document import Table
from cil.report.figures import Figure, figure_of, figure_value, interval_text
from cil.report.groups import Group, Problem, Unit, natural
from cil.report.settings import frozen, short_name, show_setting
from cil.report.significance import PairedTest, holm, paired_test

MAX_FACTORS = 5
MAX_FIXED = 3
"""Groups that differ from the cells of a factorial in more keys than that, all together, hide it."""


@dataclass(frozen=True)
class Factorial:
    """factors: key -> its two values, in order. cells: the group of each combination, in the order of the keys."""

    factors: dict[str, tuple[Any, Any]]
    cells: dict[tuple[Any, ...], Group]
    further: Sequence[Group] = ()
    """Groups of the problem that are none of its cells."""

    @property
    def units(self) -> list[Unit]:
        """Seeds (and class orders) that every cell has a run of."""
        first, *others = self.cells.values()
        units = set(first.runs)
        for group in others:
            units &= set(common_units(first, group))
        return sorted(units, key=natural)


def find_factorial(problem: Problem) -> Factorial | None:
    """The factorial that the problem's groups make, two or more factors of two values each; None if they make none.

    Groups without a value for a key in which the others differ are left out: InfoNCE has none for ANT's keys. So are
    others that stand beside it, differing in a key that all cells agree in, up to one for every two cells.
    """
    groups = [group for group in problem.groups if group.twin is None]
    whole = [g for g in groups if all(g.settings.get(key) is not None for key in problem.keys)]
    for candidates in (groups, whole):
        for cells in _without_others(candidates, problem.keys):
            found = _factorial(cells, problem.keys)
            if found is not None:
                return replace(found, further=[group for group in groups if all(group is not cell for cell in cells)])
    return None


def _without_others(groups: Sequence[Group], keys: Sequence[str]) -> Iterator[list[Group]]:
    """All groups; then those that have the most frequent value of a key, of two keys, ... while enough of them do."""
    others: list[set[str]] = [set() for _ in groups]
    """Of each group the keys in which it has another value than the most frequent one."""
    for key in keys:
        values = [frozen(group.settings.get(key)) for group in groups]
        frequent = Counter(values).most_common(1)[0][0] if values else None
        for own, value in zip(others, values, strict=True):
            own |= {key} if value != frequent else set()
    for count in range(MAX_FIXED + 1):
        for fixed in itertools.combinations(keys, count):
            left = [group for group, own in zip(groups, others, strict=True) if own.isdisjoint(fixed)]
            if 2 * (len(groups) - len(left)) <= len(left):
                yield left


def _factorial(groups: Sequence[Group], keys: Sequence[str]) -> Factorial | None:
    factors: dict[str, tuple[Any, Any]] = {}
    for key in sorted(keys, key=_place):
        values = list({frozen(group.settings.get(key)): group.settings.get(key) for group in groups}.values())
        if len(values) > 2:
            return None
        if len(values) == 2:
            factors[key] = _ordered(key, values)
    cells = {tuple(frozen(group.settings.get(key)) for key in factors): group for group in groups}
    wanted = set(itertools.product(*(map(frozen, pair) for pair in factors.values())))
    if not 2 <= len(factors) <= MAX_FACTORS or set(cells) != wanted or len(groups) != len(wanted):
        return None
    return Factorial(factors, cells)


def _place(key: str) -> int:
    """Where a key stands in the schema."""
    known = list(key_facts())
    return known.index(key) if key in known else len(known)


def _ordered(key: str, values: Sequence[Any]) -> tuple[Any, Any]:
    """The default first, otherwise the smaller one, or by name."""
    default = frozen(plain_value(default_of(key))) if key in key_facts() else None
    first, second = sorted(values, key=lambda value: (frozen(value) != default, natural(value)))
    return first, second


@dataclass(frozen=True)
class Effect:
    """What a factor, or two together, do to a figure."""

    keys: tuple[str, ...]
    test: PairedTest
    p_holm: float | None = None


def effects(factorial: Factorial, figure: str) -> list[Effect]:
    """Main effects, then interactions of two, of a figure; p values are corrected over all of them (Holm).

    Seeds in which a cell was not measured are left out; empty where none is left.
    """
    measured = []
    for unit in factorial.units:
        values = {cell: figure_value(group.runs[unit], figure) for cell, group in factorial.cells.items()}
        if None not in values.values():
            measured.append(values)
    if not measured:
        return []
    keys = list(factorial.factors)
    contrasts = [(key,) for key in keys] + list(itertools.combinations(keys, 2))
    tests = [paired_test([_contrast(factorial, contrast, values) for values in measured]) for contrast in contrasts]
    corrected = holm([test.p for test in tests])
    return [Effect(c, test, p) for c, test, p in zip(contrasts, tests, corrected, strict=True)]


def _contrast(factorial: Factorial, keys: Sequence[str], values: dict[tuple[Any, ...], Any]) -> float:
    """Mean over the cells with sign +1 minus mean over those with -1, of one seed."""
    places = [list(factorial.factors).index(key) for key in keys]
    seconds = [frozen(pair[1]) for pair in factorial.factors.values()]
    total = 0.0
    for cell, value in values.items():
        sign = 1
        for place in places:
            sign *= 1 if cell[place] == seconds[place] else -1
        total += sign * value
    return total / (len(values) / 2)


def factorial_table(problem: Problem, figures: Sequence[str]) -> Table | None:
    """One row for each effect; None where the problem is no factorial, or no seed has all of its cells."""
    factorial = find_factorial(problem)
    if factorial is None:
        return None
    by_figure = {figure_of(key): effects(factorial, key) for key in figures}
    shown = {figure: found for figure, found in by_figure.items() if found}
    if not shown:
        return None
    header = ["effect", *(column for figure in shown for column in (f"Δ {figure.label}", "95 % CI", "p (Holm)"))]
    rows = []
    for i, effect in enumerate(next(iter(shown.values()))):
        cells = [text for figure, found in shown.items() for text in _cells(figure, found[i])]
        rows.append([" × ".join(_name(factorial, key) for key in effect.keys), *cells])
    seeds = len(factorial.units)
    note = (
        f"Factorial of {len(factorial.factors)} factors, {len(factorial.cells)} groups, paired by "
        f"{seeds} seed{'' if seeds == 1 else 's'}. An effect: mean over the groups with the second value minus mean "
        "over those with the first; an interaction (×): half of how much one effect changes with the other factor. p: "
        f"Holm's correction over the {len(rows)} effects; *: below {ALPHA:g}."
    )
    if factorial.further:
        note += f" Not part of it: {', '.join(group.label for group in factorial.further)}."
    return Table("Effects of the factors", header, rows, note=note)


def _name(factorial: Factorial, key: str) -> str:
    first, second = (show_setting(value) for value in factorial.factors[key])
    return f"{short_name(key, list(factorial.factors))}: {first} → {second}"


def _cells(figure: Figure, effect: Effect) -> list[str]:
    test = effect.test
    mark = " *" if effect.p_holm is not None and effect.p_holm < ALPHA else ""
    interval = interval_text(figure, test.low, test.high)
    return [figure.show(test.mean, signed=True) + mark, interval, p_text(effect.p_holm)]
