"""The figures of a run: what they are called, how they are shown, and where they come from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cil.config.methods import predicts
from cil.data.memory import MB
from cil.engine.metrics import mean
from cil.methods.heads import CLASSIFIER
from cil.report.runs import Run

VAL = "val."
"""Prefix of the figures on validation images."""


@dataclass(frozen=True)
class Figure:
    """How a figure is shown. better: 1 higher, -1 lower, 0 neither."""

    key: str
    label: str
    unit: str = "%"
    better: int = 0
    digits: int = 2
    scale: float = 1.0

    def show(self, value: float | None, signed: bool = False) -> str:
        """A number with this figure's digits; blank for None."""
        if value is None:
            return ""
        shown = value * self.scale
        digits = 1 if self.key == "hours" and abs(shown) >= 1 else self.digits
        sign = "+" if signed else ""
        return format(shown, f"{sign}z.{digits}f")  # z: never "-0.00"

    @property
    def title(self) -> str:
        """Label with unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


ACCURACIES = (
    Figure("incremental_avg_top1", "average", better=1),
    Figure("last_top1", "last", better=1),
    Figure("forgetting_top1", "forgetting", better=-1),
    Figure("nme_incremental_avg_top1", "NME average", better=1),
    Figure("nme_last_top1", "NME last", better=1),
)
DYNAMICS = (
    Figure("gap", "gap", unit="", digits=3),
    Figure("violation_rate", "violations", scale=100, digits=1),
)
SIZES = (
    Figure("model_parameters", "parameters", unit="M", scale=1e-6),
    Figure("model_mb", "model", unit="MB"),
    Figure("exemplar_mb", "exemplars", unit="MB"),
    Figure("total_mb", "total", unit="MB"),
)
"""What has to be kept after the last task. Runs of 0.1.0 did not record it."""
UNPRUNED = (
    Figure("unpruned_parameters", "before pruning", unit="M", scale=1e-6),
    Figure("unpruned_mb", "before pruning", unit="MB"),
)
"""The model without pruning, of runs with prune.ratio."""
COSTS = (Figure("hours", "hours", unit="", better=-1),)
_SHORTER = ((1 / 60, "seconds", 3600.0), (1.0, "minutes", 60.0))
"""Below so many hours, times are shown in this unit."""
_BY_KEY = {figure.key: figure for figure in (*ACCURACIES, *DYNAMICS, *SIZES, *UNPRUNED, *COSTS)}
_SIZE_FIELDS = {
    "model_parameters": ("parameters",),
    "model_mb": ("model_bytes",),
    "exemplar_mb": ("exemplar_bytes",),
    "total_mb": ("model_bytes", "exemplar_bytes"),
    "unpruned_parameters": ("unpruned_parameters",),
    "unpruned_mb": ("unpruned_bytes",),
}
"""Figure -> what it is the sum of in the last task's part of result.json."""
_CURVE_NAMES = {"gap": "contrast/gap", "violation_rate": "contrast/violation_rate", "margin": "contrast/margin"}


def figure_of(key: str) -> Figure:
    """The figure of a key: one of the above, a validation figure, or any other figure of a run shown plainly."""
    if key.startswith(VAL):
        test = figure_of(key.removeprefix(VAL))
        return Figure(key, f"val {test.label}", test.unit, test.better, test.digits, test.scale)
    return _BY_KEY.get(key) or Figure(key, key, unit="", digits=4)


NOT_ESTIMABLE = "not estimable"


def estimable(figure: Figure, low: float | None, high: float | None) -> bool:
    """Whether an interval of differences says anything: not where it holds 0 and goes beyond 100 points to a side, as
    two seeds can give it. No two accuracies differ by more.
    """
    if low is None or high is None or figure.unit != "%":
        return True
    return low > 0 or high < 0 or max(-low, high) * figure.scale <= 100


def interval_text(figure: Figure, low: float | None, high: float | None, between: str = "..") -> str:
    """'-0.10..0.90'; blank without an interval."""
    if low is None or high is None:
        return ""
    if not estimable(figure, low, high):
        return NOT_ESTIMABLE
    return f"{figure.show(low)}{between}{figure.show(high)}"


def time_figure(hours: Sequence[float | None]) -> Figure:
    """The duration of runs, in the unit that suits the longest of them: no column of 0.00 hours."""
    longest = max((value for value in hours if value is not None), default=1.0)
    for below, unit, scale in _SHORTER:
        if longest < below:
            return Figure("hours", unit, unit="", better=-1, digits=1, scale=scale)
    return COSTS[0]


def own_head(run: Run) -> str:
    """The evaluation head that the run's method predicts with, where that is not the classifier; else blank."""
    head = predicts(str(run.settings.get("method.name", "")))
    return "" if head == CLASSIFIER else head


def own_average(run: Run) -> float | None:
    """Incremental average of what the method predicts with; the classifier's where that was not measured."""
    head, key = own_head(run), "incremental_avg_top1"
    own = run.accuracies.get(f"{head}_{key}") if head else None
    return run.accuracies[key] if own is None else own


def tag_of(key: str) -> str | None:
    """The tag of metrics.jsonl that holds a figure's curve; None where there is none."""
    tag = _CURVE_NAMES.get(key, key)
    return tag if "/" in tag or tag == "lr" else None


def figure_value(run: Run, key: str) -> float | None:
    """The value of a figure at the end of a run; None where it was not measured.

    key: a headline figure of result.json (`val.` before it: on the validation images), gap, violation_rate,
    margin, hours, seconds_per_epoch, model_parameters, model_mb, exemplar_mb, total_mb, unpruned_parameters,
    unpruned_mb, parameters (of the whole network), or any tag of metrics.jsonl (last epoch of the last task).
    """
    if key in run.accuracies:
        return run.accuracies[key]
    if key == "hours":
        seconds = run.result.get("seconds")
        return None if seconds is None else seconds / 3600
    if key == "seconds_per_epoch":
        return mean(run.curves.values.get("time/epoch_seconds", []))
    if key in _SIZE_FIELDS:
        return _size(run, key)
    if tag := tag_of(key):
        return run.curves.at(tag, -1) if run.curves.steps else None
    value: Any = run.result.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _size(run: Run, key: str) -> float | None:
    """Of what is kept after the last task; None where it was not recorded."""
    last = run.result["tasks"][-1]
    found = [last.get(name) for name in _SIZE_FIELDS[key]]
    if not all(isinstance(value, int) for value in found):
        return None
    return float(sum(found)) / (MB if key.endswith("_mb") else 1)


def forgetting_by_task(matrix: Sequence[Sequence[float | None]]) -> list[float | None]:
    """Best accuracy before the last task minus final accuracy, for every task but the last."""
    drops: list[float | None] = []
    for task, final in enumerate(matrix[-1][:-1]):
        earlier = [value for row in matrix[task:-1] if (value := row[task]) is not None]
        drops.append(max(earlier) - final if earlier and final is not None else None)
    return drops
