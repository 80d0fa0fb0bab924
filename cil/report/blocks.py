"""Treatments over several blocks: ranks, Friedman's test, Nemenyi's critical distance, and how much one block decides.

A block is a protocol with one seed, or a protocol's mean over seeds. Seeds within a protocol are not independent of
it, so both ways are to be shown. Source: Demsar, "Statistical Comparisons of Classifiers over Multiple Data Sets",
JMLR 7 (2006).
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

ALPHA = 0.05


class Block(NamedTuple):
    """Where treatments are compared. order: of the classes, where a protocol has several."""

    protocol: str
    seed: Hashable
    order: str = ""


Values = Mapping[Block, Mapping[str, float]]
"""Block -> treatment -> figure; every block has every treatment."""


@dataclass(frozen=True)
class Friedman:
    """ranks: mean rank by treatment, 1 the best. critical: two mean ranks further apart differ (Nemenyi, 5 %)."""

    blocks: int
    ranks: dict[str, float]
    chi2: float
    p: float
    critical: float


def friedman(values: Values, better: int = 1) -> Friedman | None:
    """Friedman's test over blocks; None with fewer than 3 treatments or 2 blocks, or where all are equal.

    better: 1 where higher is better, -1 where lower is. Ties share their mean rank.
    """
    blocks = list(values.values())
    names = list(blocks[0]) if blocks else []
    if len(names) < 3 or len(blocks) < 2:
        return None
    from scipy.stats import friedmanchisquare, rankdata, studentized_range

    table = [[-better * block[name] for name in names] for block in blocks]
    if all(len(set(row)) == 1 for row in table):
        return None  # nothing differs anywhere
    ranks = [sum(column) / len(blocks) for column in zip(*(rankdata(row) for row in table), strict=True)]
    test = friedmanchisquare(*zip(*table, strict=True))
    q = float(studentized_range.ppf(1 - ALPHA, len(names), float("inf"))) / 2**0.5
    critical = q * (len(names) * (len(names) + 1) / (6 * len(blocks))) ** 0.5
    return Friedman(
        len(blocks), dict(zip(names, ranks, strict=True)), float(test.statistic), float(test.pvalue), critical
    )


def protocol_means(values: Values) -> dict[Block, dict[str, float]]:
    """One block a protocol: the mean over its seeds."""
    protocols: dict[str, list[Mapping[str, float]]] = {}
    for block, row in values.items():
        protocols.setdefault(block.protocol, []).append(row)
    return {
        Block(protocol, None): {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
        for protocol, rows in protocols.items()
    }


@dataclass(frozen=True)
class LeftOut:
    """The mean difference of a treatment to the baseline when one block or seed is left out: lowest and highest.

    Each with what was left out then; None where nothing would be left.
    """

    low: tuple[float, str] | None
    high: tuple[float, str] | None


def mean_difference(values: Values, treatment: str, baseline: str) -> float:
    """Over all blocks."""
    return sum(row[treatment] - row[baseline] for row in values.values()) / len(values)


def leave_one_block_out(values: Values, treatment: str, baseline: str) -> LeftOut:
    """Over blocks."""
    return _left_out(values, treatment, baseline, lambda block: " ".join(map(str, block)).rstrip())


def leave_one_seed_out(values: Values, treatment: str, baseline: str) -> LeftOut:
    """Over seeds, each in all protocols."""
    return _left_out(values, treatment, baseline, lambda block: f"seed {block.seed}")


def _left_out(values: Values, treatment: str, baseline: str, name: Callable[[Block], str]) -> LeftOut:
    found = []
    for out in dict.fromkeys(map(name, values)):
        rest = {block: row for block, row in values.items() if name(block) != out}
        if rest:
            found.append((mean_difference(rest, treatment, baseline), out))
    return LeftOut(min(found, default=None), max(found, default=None))


def complete(rows: Mapping[Block, Mapping[str, float]], treatments: Sequence[str]) -> dict[Block, dict[str, float]]:
    """The blocks that have every one of the treatments, and those alone."""
    return {
        block: {name: row[name] for name in treatments}
        for block, row in rows.items()
        if all(name in row for name in treatments)
    }
