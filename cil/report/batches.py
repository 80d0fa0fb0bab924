"""Batch effects: where runs were not made alike, and the way they were made goes with what is compared.

A batch is what a run was made with: commit, versions of libraries, device and machine. Where a variant's runs are of
another batch than the baseline's, a difference between them may be the batch's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cil.report.compare import VariantComparison, common_units
from cil.report.document import Table
from cil.report.figures import figure_of, figure_value, interval_text
from cil.report.groups import Group, Problem
from cil.report.runs import Run
from cil.report.significance import paired_test

_LIBRARIES = ("torch", "torchvision", "numpy")
_ONE_WAY = 2 / 3
"""Share of the pairs made differently that differ in the same two ways, from which it is no chance."""


def batch_of(run: Run) -> dict[str, str]:
    """What the run was made with, as far as it is known."""
    result = run.result
    versions, device = result.get("versions") or {}, result.get("device") or {}
    commit, _, changes = str(result.get("git_commit") or "").partition("+")
    known = {
        "code": commit[:10] + (f"+{changes}" if changes else ""),
        "device": str(device.get("name") or ""),
        "machine": str(run.status.get("host") or ""),
        "processes": ", ".join(map(str, device.get("process_counts") or [1])),
        "CPU threads": ", ".join(map(str, device.get("thread_counts") or [])),
    } | {name: str(versions.get(name) or "") for name in _LIBRARIES}
    return {name: value for name, value in known.items() if value}


def telling(problem: Problem) -> list[str]:
    """What tells batches apart. A name of its own for every run, as containers have one as machine, tells nothing."""
    batches = [batch_of(run) for run in problem.finished]
    found = []
    for name in dict.fromkeys(name for batch in batches for name in batch):
        values = [batch[name] for batch in batches if name in batch]
        if len(set(values)) > 1 and (len(set(values)) < len(values) or len(values) < 3):
            found.append(name)
    return found


def apart(a: Run, b: Run, names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """In what of `names` two runs were made differently, of what is known of both: the values of a and b."""
    ours, theirs = batch_of(a), batch_of(b)
    return {n: (ours[n], theirs[n]) for n in names if n in ours and n in theirs and ours[n] != theirs[n]}


@dataclass(frozen=True)
class Pairs:
    """Differences of a variant to the baseline, of pairs of runs that were made in the same two ways."""

    variant: Group
    made: str
    """'code: aaa' for both, or 'code: bbb, baseline aaa'."""
    values: list[float]
    names: tuple[str, ...]
    """In what the two runs of each pair differ; empty where they were made alike."""


def pairs_by_batch(problem: Problem, comparisons: Sequence[VariantComparison], key: str) -> list[Pairs]:
    """Of each variant whose pairs were not all made in one and the same way."""
    found = []
    names = telling(problem)
    for comparison in comparisons:
        variant, base = comparison.variant, problem.baseline
        assert base is not None
        by_way: dict[tuple[str, tuple[str, ...]], list[float]] = {}
        for unit in common_units(variant, base):
            ours, theirs = variant.runs[unit], base.runs[unit]
            a, b = figure_value(ours, key), figure_value(theirs, key)
            if a is not None and b is not None:
                differing = apart(ours, theirs, names)
                by_way.setdefault((_way(ours, differing, names), tuple(differing)), []).append(a - b)
        if len(by_way) > 1 or any(differing for _, differing in by_way):
            found += [Pairs(variant, made, values, differing) for (made, differing), values in by_way.items()]
    return found


def _way(run: Run, differing: Mapping[str, tuple[str, str]], names: Sequence[str]) -> str:
    batch = batch_of(run)
    if not differing:
        return "; ".join(f"{name}: {batch[name]}" for name in names if name in batch)
    return "; ".join(f"{name}: {ours}, baseline {theirs}" for name, (ours, theirs) in differing.items())


def repeated(problem: Problem, key: str) -> list[tuple[str, float, list[str]]]:
    """Runs of one configuration and seed that were made in two batches: what, their difference, what differs.

    Each is an estimate of a batch's effect: nothing else can tell such runs apart.
    """
    found = []
    for group in problem.groups:
        for (seed, _), runs in group.repeats.items():
            for other in runs[1:]:
                names = list(apart(runs[0], other, telling(problem)))
                a, b = figure_value(runs[0], key), figure_value(other, key)
                if names and a is not None and b is not None:
                    found.append((f"{group.label}, seed {seed}", b - a, names))
    return found


def batch_warnings(problem: Problem, found: Sequence[Pairs]) -> list[str]:
    """One line where the way in which runs were made goes along with what is compared.

    It does where a variant's pairs differ in one direction: the variant's runs in one way, the baseline's in another.
    Where they differ to and fro, as by chance, the table alone tells.
    """
    lines: dict[str, list[str]] = {}
    for variant in dict.fromkeys(pairs.variant for pairs in found):
        mine = [pairs for pairs in found if pairs.variant is variant and pairs.names]
        count = sum(len(pairs.values) for pairs in mine)
        if mine and max(len(pairs.values) for pairs in mine) > _ONE_WAY * count:
            names = dict.fromkeys(name for pairs in mine for name in pairs.names)
            lines.setdefault(", ".join(names), []).append(f"{variant.label} ({count} of {len(variant.runs)} runs)")
    base = problem.baseline
    return [
        f"{problem.title}: not made like their pairs of {base.spoken if base else 'the baseline'} (other {names}): "
        f"{', '.join(variants)}. Such a difference may be the batch's; see the table of batches."
        for names, variants in lines.items()
    ]


def batch_table(problem: Problem, found: Sequence[Pairs], key: str) -> Table | None:
    """Differences within each batch and across, and what repeated runs tell of a batch's effect; None without any."""
    again = repeated(problem, key)
    if not found and not again:
        return None
    figure = figure_of(key)
    rows = []
    for pairs in found:
        test = paired_test(pairs.values)
        interval = interval_text(figure, test.low, test.high)
        kind = "differently" if pairs.names else "alike"
        rows.append([pairs.variant.label, kind, pairs.made, str(test.n), figure.show(test.mean, signed=True), interval])
    rows += [
        [f"the same run twice: {what}", "differently", ", ".join(names), "1", figure.show(change, signed=True), ""]
        for what, change, names in again
    ]
    header = ["variant", "made", "how", "pairs", f"Δ {figure.label}", "95 % CI"]
    note = (
        "Mean differences to the baseline, apart for pairs of runs that were made alike (commit, libraries, device, "
        "machine, CPU threads) in each way, and differently. The same run twice, in two batches, estimates the effect "
        "of the batch alone."
    )
    return Table("Batches", header, rows, left=3, note=note)
