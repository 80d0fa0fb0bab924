import pytest

from cil.run import progress
from cil.run.progress import TimeLeft


class FakeClock:
    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


def test_time_left_counts_work_not_steps(monkeypatch):
    clock = FakeClock(monkeypatch)
    left = TimeLeft()
    assert left.seconds is None
    # Ten steps of 2 % of the work, two seconds each: 100 s for the whole, 80 s left.
    for _ in range(10):
        clock.now += 2
        left.step(0.02)
    assert left.seconds == pytest.approx(80)


def test_evaluation_does_not_count_as_a_step(monkeypatch):
    clock = FakeClock(monkeypatch)
    left = TimeLeft()
    for _ in range(5):
        clock.now += 1
        left.step(0.1)
    clock.now += 500
    left.pause()
    clock.now += 1
    left.step(0.1)
    assert left.seconds == pytest.approx(4)
