"""A run continued from any step boundary equals the unbroken one, bit for bit."""

import io

import pytest
import torch

from cil.config.methods import available_methods
from tests.engine.test_loop import Watcher, assert_continues, make_trainer

SETTINGS = ("loss=ant_adaptive", "margin_schedule.gap_ratio=0.8", "trainer.eval_every=1", "dataset.holdout_per_class=2")


class Stop(BaseException):
    """Stands for a signal."""


def through_a_file(state: dict) -> dict:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


class StopAt(Watcher):
    """Saves and stops at the n-th step, evaluation batch or task end."""

    def __init__(self, kind: str, count: int):
        super().__init__()
        self.kind, self.left = kind, count
        self.state = None

    def _count(self, kind, state):
        self.left -= kind == self.kind
        if self.left == 0:
            self.state = through_a_file(state())
            raise Stop

    def on_step(self, progress, state):
        super().on_step(progress, state)
        self._count("step", state)

    def on_task(self, record, state):
        super().on_task(record, state)
        self._count("task", state)

    def check(self, state):
        self._count("evaluation", state)


@pytest.fixture(scope="module")
def unbroken():
    trainer = make_trainer(*SETTINGS)
    trainer.run()
    return trainer


@pytest.mark.parametrize(
    ("kind", "count"),
    [("step", 1), ("step", 4), ("step", 9), ("step", 10), ("step", 17), ("step", 19), ("task", 1), ("task", 2)]
    # Every place where an evaluation can be stopped: in the middle of a task, while herding, after alignment.
    + [("evaluation", n) for n in (1, 4, 6, 8, 10, 11, 14, 17, 20, 22)],
)
def test_a_continued_run_equals_the_unbroken_one(unbroken, kind, count):
    first = make_trainer(*SETTINGS, observer=StopAt(kind, count))
    with pytest.raises(Stop):
        first.run()
    second = make_trainer(*SETTINGS)
    second.load_state_dict(first.observer.state)
    second.run()
    assert_continues(second, unbroken)
    total = sum(step.cost for step in second.observer.steps)
    assert abs(total + share_before(first) - 1) < 1e-9


# In the second phase of task 2 where there is one, between tasks, and after everything that a task's end changes.
POINTS = [("step", 21), ("task", 1), ("evaluation", -1)]


WITH_STATE = (
    ("memory.selection=speed", "memory.slow=0.3", "memory.fast=0.2"),
    ("teacher.average_last=2",),
    ("prune.ratio=0.3",),
    ("loss.prototypes=negatives", "loss=infonce"),
    ("loss.prototypes=repel",),
)
"""Settings of TagFex that carry something of their own from step to step, or from epoch to epoch."""


@pytest.mark.parametrize("method", [name for name in available_methods() if name != "tagfex"])
def test_every_method_continues_exactly(method):
    assert_continues_at(f"method={method}", "memory.size=80", points=POINTS)


@pytest.mark.parametrize("settings", WITH_STATE, ids=lambda settings: settings[0])
def test_what_an_option_keeps_is_continued_exactly(settings):
    # In the last epochs of task 1 and of task 2, between tasks, and in the evaluation after task 2.
    assert_continues_at(*settings, points=[("step", 5), ("step", 14), ("task", 1), ("evaluation", 12)])


def assert_continues_at(*settings: str, points: list[tuple[str, int]]) -> None:
    """Runs that were stopped at these points go on like the unbroken one."""
    whole = make_trainer(*settings)
    whole.run()
    for kind, count in points:
        last = whole.observer.checks if kind == "evaluation" else count
        first = make_trainer(*settings, observer=StopAt(kind, last if count < 0 else count))
        with pytest.raises(Stop):
            first.run()
        if kind == "step":
            assert first.begun_phases == len(first.method.phases(first.tasks[first.finished_tasks]))
        second = make_trainer(*settings)
        second.load_state_dict(first.observer.state)
        second.run()
        assert_continues(second, whole)


def share_before(trainer) -> float:
    return sum(step.cost for step in trainer.observer.steps)


def test_a_network_of_another_size_is_refused():
    first = make_trainer(*SETTINGS, observer=StopAt("step", 2))
    with pytest.raises(Stop):
        first.run()
    other = make_trainer(*SETTINGS, "backbone.projector_out=32")
    with pytest.raises(RuntimeError, match="size mismatch"):
        other.load_state_dict(first.observer.state)
