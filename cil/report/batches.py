"""Batch effects: where runs were not made alike, and the way they were made goes with what is compared.

A batch is what a run was made with: commit, versions of libraries, device and machine. Where a variant's runs are of
another batch than the baseline's, a difference between them may be the batch's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import mean

from cil.report.compare import VariantComparison, common_units
from cil.report.document import Table
from cil.report.figures import Figure, figure_of, figure_value
from cil.report.groups import Group, Problem
from cil.report.runs import Run

_LIBRARIES = ("torch", "torchvision", "numpy")


def batch_of(run: Run) -> dict[str, str]:
    """What the run was made with, as far as it is known."""
    result = run.result
    versions = result.get("versions") or {}
    known = {
        "code": str(result.get("git_commit") or "")[:10],
        "device": str((result.get("device") or {}).get("name") or ""),
        "machine": str(run.status.get("host") or ""),
    } | {name: str(versions.get(name) or "") for name in _LIBRARIES}
    return {name: value for name, value in known.items() if value}


def apart(a: Run, b: Run) -> list[str]:
    """In what two runs were made differently, of what is known of both."""
    ours, theirs = batch_of(a), batch_of(b)
    return [name for name in ours if name in theirs and ours[name] != theirs[name]]


@dataclass(frozen=True)
class Split:
    """Differences of a variant to the baseline: pairs made alike, and pairs made differently."""

    variant: Group
    alike: list[float] = field(default_factory=list)
    different: list[float] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    """In what the different pairs differ."""


def splits(problem: Problem, comparisons: Sequence[VariantComparison], key: str) -> list[Split]:
    """Of each variant that has pairs which were made differently."""
    found = []
    for comparison in comparisons:
        variant, base = comparison.variant, problem.baseline
        assert base is not None
        split = Split(variant)
        for unit in common_units(variant, base):
            ours, theirs = variant.runs[unit], base.runs[unit]
            a, b = figure_value(ours, key), figure_value(theirs, key)
            if a is None or b is None:
                continue
            names = apart(ours, theirs)
            (split.different if names else split.alike).append(a - b)
            split.names.extend(name for name in names if name not in split.names)
        if split.different:
            found.append(split)
    return found


def repeated(problem: Problem, key: str) -> list[tuple[str, float, list[str]]]:
    """Runs of one configuration and seed that were made in two batches: what, their difference, what differs.

    Each is an estimate of a batch's effect: nothing else can tell such runs apart.
    """
    found = []
    for group in problem.groups:
        for (seed, _), runs in group.repeats.items():
            for other in runs[1:]:
                names = apart(runs[0], other)
                a, b = figure_value(runs[0], key), figure_value(other, key)
                if names and a is not None and b is not None:
                    found.append((f"{group.label}, seed {seed}", b - a, names))
    return found


def batch_warnings(problem: Problem, found: Sequence[Split]) -> list[str]:
    """One line for a problem whose comparisons go along with how runs were made."""
    if not found:
        return []
    assert problem.baseline is not None
    names = list(dict.fromkeys(name for split in found for name in split.names))
    pairs = sum(len(split.different) for split in found)
    whole = pairs + sum(len(split.alike) for split in found)
    return [
        f"{problem.title}: {pairs} of {whole} pairs with {problem.baseline.spoken} were not made alike (other "
        f"{', '.join(names)}): {', '.join(split.variant.label for split in found)}. Such a difference may be the "
        "batch's; see the table of batches."
    ]


def batch_table(problem: Problem, found: Sequence[Split], key: str) -> Table | None:
    """Differences within and across batches, and what repeated runs tell of a batch's effect; None without any."""
    again = repeated(problem, key)
    if not found and not again:
        return None
    figure = figure_of(key)
    rows = [
        [split.variant.label, _mean(figure, split.alike), _mean(figure, split.different), ", ".join(split.names)]
        for split in found
    ]
    rows += [
        [f"the same run twice: {what}", "", figure.show(change, signed=True), ", ".join(names)]
        for what, change, names in again
    ]
    header = ["variant", f"Δ {figure.label}, made alike", f"Δ {figure.label}, made differently", "other"]
    note = (
        "Mean differences to the baseline (number of pairs), apart for pairs of runs made with the same commit, "
        "libraries, device and machine, and for others. The same run twice, in two batches, estimates the effect of "
        "the batch alone."
    )
    return Table("Batches", header, rows, note=note)


def _mean(figure: Figure, values: Sequence[float]) -> str:
    return f"{figure.show(mean(values), signed=True)} ({len(values)})" if values else "-"
