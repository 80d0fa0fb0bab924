"""A method with a second, balanced phase after each task: an optimiser, a schedule and images of its own."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from cil.engine.build import build_data
from cil.engine.loop import Trainer
from cil.methods.phases import Phase, balanced, main_phase
from cil.methods.replay import Replay
from cil.planning.plan import compose_jobs
from tests.commands import changed
from tests.engine.test_loop import SMALL, Watcher, assert_continues
from tests.engine.test_resume import Stop, StopAt

NO_MILESTONES = ("optimizer.init_milestones=[]", "optimizer.inc_milestones=[]")


class Corrected(Replay):
    """Replay, then the newest head alone on as many images of each class."""

    def phases(self, task):
        second = Phase(2, 0.05, 0.0, (1,), select=balanced(self.config.seed, task.number))
        return [main_phase(self.config, task.number == 1), second]

    def begin_phase(self, number):
        self.network.requires_grad_(number == 0)
        self.network.heads[-1].requires_grad_(True)


class PhaseWatcher(Watcher):
    """Keeps the rate of every epoch and the weights of the backbone after it."""

    def __init__(self):
        super().__init__()
        self.backbones = []

    def on_epoch(self, record):
        super().on_epoch(record)
        backbone = self.trainer.method.network.backbone
        self.backbones.append(torch.cat([p.detach().flatten() for p in backbone.parameters()]))


def trainer_of(observer) -> Trainer:
    (job,) = compose_jobs(changed(SMALL, "trainer.max_tasks=2", *NO_MILESTONES))
    trainer = Trainer(job.config, build_data(job.config), Corrected(job.config), torch.device("cpu"), observer)
    observer.trainer = trainer
    return trainer


@pytest.fixture(scope="module")
def unbroken():
    trainer = trainer_of(PhaseWatcher())
    trainer.run()
    return trainer


def test_epochs_count_on_through_the_phases(unbroken):
    assert [(r["task"], r["epoch"], r["step"]) for r in unbroken.observer.epochs] == [
        (1, 1, 1), (1, 2, 2), (1, 3, 3), (1, 4, 4), (1, 5, 5), (2, 1, 6), (2, 2, 7), (2, 3, 8), (2, 4, 9)
    ]  # fmt: skip
    rates = [r["lr"] for r in unbroken.observer.epochs]
    assert rates == pytest.approx([0.1, 0.1, 0.1, 0.05, 0.005, 0.1, 0.1, 0.05, 0.005])
    assert abs(sum(step.cost for step in unbroken.observer.steps) - 1) < 1e-9


def test_the_second_phase_sees_its_own_images_and_trains_what_it_chose(unbroken):
    # Task 2: 24 new images and 20 exemplars, 44 in all; balanced: 10 of each of the 4 classes.
    by_epoch = {(s.task, s.epoch): s.steps for s in unbroken.observer.steps}
    assert (by_epoch[2, 1], by_epoch[2, 3]) == (5, 4)
    moved = [not torch.equal(a, b) for a, b in pairwise(unbroken.observer.backbones)]
    assert moved == [True, True, False, False, True, True, False, False]


@pytest.mark.parametrize(
    ("kind", "count"),
    # Task 1 has 3 steps an epoch: in the first phase, its last step, the first step of the second, in the second,
    # its last; then the same in task 2, and in the evaluation.
    [("step", n) for n in (2, 9, 10, 11, 15, 16, 25, 26, 32)] + [("evaluation", 2), ("task", 1)],
)
def test_a_run_stopped_in_any_phase_continues_exactly(unbroken, kind, count):
    first = trainer_of(StopAt(kind, count))
    with pytest.raises(Stop):
        first.run()
    second = trainer_of(PhaseWatcher())
    second.load_state_dict(first.observer.state)
    second.run()
    assert_continues(second, unbroken)


def test_the_balanced_images_differ_from_task_to_task_and_never_with_the_clock():
    targets = np.repeat([0, 1, 2], [20, 5, 9])
    assert np.array_equal(balanced(3, 1)(targets), balanced(3, 1)(targets))
    assert not np.array_equal(balanced(3, 1)(targets), balanced(3, 2)(targets))
