import math
import random

import pytest
import torch

from cil.engine.epoch_stats import EpochStats
from cil.losses.base import Stat


def stat(value: float, weight: float, dtype: torch.dtype = torch.float32) -> Stat:
    return Stat(torch.tensor(value, dtype=dtype), weight)


def random_batches(count: int = 20) -> list[dict[str, Stat]]:
    """Names, weights (some 0, some tensors) and dtypes that vary from batch to batch."""
    draw = random.Random(3)
    batches = []
    for _ in range(count):
        names = [name for name in ("gap", "rate", "hard_gap_min", "rare") if name != "rare" or draw.random() < 0.3]
        batch = {}
        for name in names:
            weight = draw.choice([0, 2, 7])
            dtype = torch.float64 if name == "gap" else torch.float32
            batch[name] = stat(draw.uniform(-1, 1), torch.tensor(weight) if name == "rate" else weight, dtype)
        batches.append(batch)
    return batches


def naive(batches: list[dict[str, Stat]], name: str) -> float:
    seen = [(float(b[name].value), float(b[name].weight)) for b in batches if name in b and float(b[name].weight) > 0]
    if name == "hard_gap_min":
        return min(value for value, _ in seen)
    return sum(value * weight for value, weight in seen) / sum(weight for _, weight in seen)


def test_equals_the_plain_loop():
    batches, epoch = random_batches(), EpochStats()
    for batch in batches:
        epoch.add("contrast", batch)
        epoch.add("", {"distill/hard_gap_min": batch["hard_gap_min"]})
    got = epoch.compute()
    for name in ("gap", "rate", "hard_gap_min", "rare"):
        assert got[f"contrast/{name}"] == pytest.approx(naive(batches, name), abs=1e-12)
    assert got["distill/hard_gap_min"] == got["contrast/hard_gap_min"]


def test_sums_are_double_precision():
    epoch = EpochStats()
    for value in (1e8, 1.0, -1e8):
        epoch.add("", {"x": stat(value, 1)})
    assert epoch.compute()["x"] == pytest.approx(1 / 3)


def test_a_weight_of_zero_hides_whatever_the_value_is():
    epoch = EpochStats()
    epoch.add("", {"x": stat(math.nan, 0), "hard_gap_min": stat(-math.inf, 0), "never": stat(1.0, 0)})
    epoch.add("", {"x": stat(3.0, 2), "hard_gap_min": stat(0.5, 2), "never": stat(2.0, torch.tensor(0))})
    assert epoch.compute() == {"x": 3.0, "hard_gap_min": 0.5, "never": None}


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("name", ["x", "hard_gap_min"])
def test_divergence_stays_visible(first, name):
    batches = [{name: stat(math.nan, 1)}, {name: stat(1.0, 1), "other": stat(1.0, 1)}]
    epoch = EpochStats()
    for batch in (batches[first], batches[1 - first]):
        epoch.add("", batch)
    value = epoch.compute()[name]
    assert value is not None
    assert math.isnan(value)


def test_nothing_added_gives_nothing():
    epoch = EpochStats()
    epoch.add("contrast", {})
    assert epoch.compute() == {}


def test_resumed_equals_unbroken_exactly(tmp_path):
    batches = random_batches()
    unbroken, first, second = EpochStats(), EpochStats(), EpochStats()
    for batch in batches:
        unbroken.add("a", batch)
    for batch in batches[:9]:
        first.add("a", batch)
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for batch in batches[9:]:
        second.add("a", batch)
    assert second.compute() == unbroken.compute()


def test_state_is_a_copy():
    epoch = EpochStats()
    epoch.add("", {"x": stat(1.0, 1)})
    state = epoch.state_dict()
    epoch.add("", {"x": stat(3.0, 1)})
    other = EpochStats()
    other.load_state_dict(state)
    assert other.compute() == {"x": 1.0}


def test_values_with_gradient_are_detached():
    epoch, value = EpochStats(), torch.tensor(2.0, requires_grad=True)
    epoch.add("", {"x": Stat(value, 1)})
    assert epoch.compute() == {"x": 2.0}
    assert not epoch.state_dict()["groups"][0]["totals"].requires_grad


@pytest.mark.cuda
def test_adding_does_not_wait_for_the_device():
    epoch = EpochStats()
    batch = {
        "x": Stat(torch.ones((), device="cuda"), 3),
        "y": Stat(torch.ones((), device="cuda"), torch.ones((), device="cuda")),
    }
    epoch.add("", batch)
    torch.cuda.set_sync_debug_mode("error")
    try:
        epoch.add("", batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert epoch.compute() == {"x": 1.0, "y": 1.0}
