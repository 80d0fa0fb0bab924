"""The contrastive losses as plain Python loops over floats, straight from their definitions."""

import math
from itertools import product
from statistics import mean, stdev

from torch import Tensor

from cil.losses.settings import LossSettings

Pair = tuple[int, int]


def cosines(anchors: Tensor, columns: Tensor) -> list[list[float]]:
    def unit(row: list[float]) -> list[float]:
        norm = max(math.sqrt(sum(x * x for x in row)), 1e-8)
        return [x / norm for x in row]

    rows, others = ([unit(row) for row in side.detach().double().tolist()] for side in (anchors, columns))
    return [[sum(x * y for x, y in zip(row, other, strict=True)) for other in others] for row in rows]


def blocks(rows: int, negatives: str) -> list[list[Pair]]:
    """The negatives of each block, in row order."""
    batch = rows // 2
    views = {"first_view": [range(batch)], "both_views": [range(batch), range(batch, rows)], "all": [range(rows)]}
    return [[(i, j) for i, j in product(view, view) if j not in (i, (i + batch) % rows)] for view in views[negatives]]


def nce(sims: list[list[float]], temperature: float) -> float:
    rows = len(sims)
    losses = []
    for i in range(rows):
        total = sum(math.exp(sims[i][j] / temperature) for j in range(rows) if j != i)
        losses.append(math.log(total) - sims[i][(i + rows // 2) % rows] / temperature)
    return mean(losses)


def penalty(violations: list[float], settings: LossSettings) -> float:
    if not violations:
        return 0.0
    form, active = settings.formulation.name, [v for v in violations if v > 0]
    if form == "softplus":
        return mean(math.log1p(math.exp(v / settings.softplus_tau)) for v in violations)
    if form == "active_mean":
        return mean(active) if active else 0.0
    if form == "indicator":
        return math.log(sum(math.exp(v) for v in active)) if active else 0.0
    if form == "expm1":
        return math.log(1 + sum(math.exp(v) - 1 for v in active))
    if form == "topk":
        violations = sorted(violations)[-settings.topk :]
    return math.log(sum(math.exp(max(v, 0)) for v in violations))


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    low = int(position)
    return ordered[low] + (position - low) * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low])


class Naive:
    """Every term and statistic of one batch with at least two images."""

    def __init__(self, anchors: Tensor, columns: Tensor, margin: float, settings: LossSettings) -> None:
        self.sims, self.settings, self.margin = cosines(anchors, columns), settings, margin
        self.blocks = blocks(len(self.sims), settings.negatives.name)
        self.pairs = [pair for block in self.blocks for pair in block]
        self.reference = {pair: self._reference(pair, block) for block in self.blocks for pair in block}
        self.violations = {(i, j): self.sims[i][j] - self.reference[i, j] + margin for i, j in self.pairs}
        self.kept = [pair for block in self.blocks for pair in self._kept(block)]
        self.rows = sorted({i for i, _ in self.pairs})

    def _reference(self, pair: Pair, block: list[Pair]) -> float:
        whole = self.settings.reference.name == "global"
        return max(self.sims[i][j] for i, j in block if whole or i == pair[0])

    def _kept(self, block: list[Pair]) -> list[Pair]:
        ratio = self.settings.hard_negative_ratio
        if ratio is None:
            return block
        groups = [block]
        if self.settings.reference.name == "anchor":
            groups = [[pair for pair in block if pair[0] == row] for row in sorted({i for i, _ in block})]
        kept = []
        for group in groups:
            ranked = sorted(group, key=lambda pair: (round(self.sims[pair[0]][pair[1]], 11), pair))
            kept += ranked[-max(1, math.ceil(ratio * len(group) - 1e-9)) :]
        return kept

    def terms(self) -> dict[str, float]:
        s = self.settings
        kept_of = {row: [self.violations[pair] for pair in self.kept if pair[0] == row] for row in self.rows}
        ant = mean(penalty(kept_of[row], s) for row in self.rows)
        counts = [len(kept) for kept in kept_of.values()]
        if s.formulation.name == "topk":
            counts = [min(count, s.topk) for count in counts]
        floor = mean(math.log(max(count, 1)) for count in counts)
        if s.formulation.name not in ("logsumexp", "topk"):
            floor = 0.0
        info = nce(self.sims, s.temperature)
        gap_loss = max(0.0, s.gap_target - self.gap())
        bracket = (ant if s.ant_term else 0.0) + s.gap_beta * gap_loss
        total = s.nce_alpha * info + s.ant_beta * bracket
        return {"nce": info, "ant": ant, "gap_loss": gap_loss, "total": total, "ant_above_floor": ant - floor}

    def positives(self) -> list[float]:
        batch = len(self.sims) // 2
        return [self.sims[i][i + batch] for i in range(batch)]

    def gap(self) -> float:
        return mean(self.positives()) - mean(self.sims[i][j] for i, j in self.pairs)

    def false_negative_share(self, labels: list[int]) -> float:
        """Share of the active negatives with the class of their anchor."""
        batch = len(labels)
        active = [pair for pair, violation in self.violations.items() if violation > 0]
        return mean(float(labels[i % batch] == labels[j % batch]) for i, j in active)

    def stats(self) -> dict[str, float]:
        sims, rows = self.sims, len(self.sims)
        negatives = [sims[i][j] for i, j in self.pairs]
        violations = list(self.violations.values())
        active = [v for v in violations if v > 0]
        hardest = {row: max(sims[i][j] for i, j in self.pairs if i == row) for row in self.rows}
        hard_gaps = [sims[row][(row + rows // 2) % rows] - hardest[row] for row in self.rows]
        stats = self.terms() | {
            "pos_mean": mean(self.positives()),
            "pos_std": stdev(self.positives()),
            "neg_mean": mean(negatives),
            "neg_std": stdev(negatives),
            "gap": self.gap(),
            "margin": self.margin,
            "violation_rate": len(active) / len(violations),
            "active_count": len(active) / len(self.rows),
            "violation_mean": mean(active) if active else 0.0,
            "v_p90": quantile(violations, 0.9),
            "v_p95": quantile(violations, 0.95),
            "hard_negative_similarity": mean(hardest.values()),
            "hard_gap": mean(hard_gaps),
            "hard_gap_min": min(hard_gaps),
            "negatives_above_positive": mean(
                float(sims[i][j] > sims[i][(i + rows // 2) % rows]) for i, j in self.pairs
            ),
        }
        if self.settings.hard_negative_ratio is not None:
            stats["kept_violation_rate"] = sum(self.violations[pair] > 0 for pair in self.kept) / len(self.kept)
            stats["kept_neg_mean"] = mean(sims[i][j] for i, j in self.kept)
        return stats
