import io
import warnings

import pytest

from cil.engine.observer import Progress
from cil.run import progress
from cil.run.progress import Display, TimeLeft


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


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_bar_ends_at_its_end(monkeypatch):
    """The shares of a run's steps sum to a little more than 1, over which tqdm would warn."""
    monkeypatch.setattr(progress.sys, "stderr", Terminal())
    share = 1 / 49
    assert sum([share] * 50) > 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        display = Display(1, wanted=True)
        display.continue_at(share)
        for step in range(49):
            display.step(Progress(1, 1, 1, step + 1, 49, share))
        display._bar.refresh()
        assert display._bar.n == 1
        display.close()
