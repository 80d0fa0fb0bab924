"""Nothing in an epoch waits for the device, from the second step on (the first one starts libraries)."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from cil.config.methods import available_methods
from cil.engine.build import build_trainer
from cil.engine.step import Stepper
from tests.devices import main_job
from tests.engine.test_loop import Watcher, make_trainer

READS = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "equal", "is_nonzero")
"""Operations whose result, or its shape, the host has to read from the device."""


class NoWaiting(Watcher):
    """An observer that forbids synchronisation between the first and the last step of every epoch."""

    def __init__(self):
        super().__init__()
        self.watched = 0

    def on_step(self, progress, state):
        super().on_step(progress, state)
        inside = progress.step < progress.steps
        self.watched += inside
        torch.cuda.set_sync_debug_mode("error" if inside else "default")


@pytest.mark.cuda
@pytest.mark.parametrize("given", [*(f"method={name}" for name in available_methods()), "augment.view_bank=2"])
def test_an_epoch_does_not_wait(given):
    observer = NoWaiting()
    trainer = make_trainer(given, "memory.size=80", "device=cuda", observer=observer)
    try:
        trainer.run()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert observer.watched > 10


@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_the_main_job_does_not_wait(precision):
    observer = NoWaiting()
    cut = ("dataset.max_train_per_class=60", "dataset.max_test_per_class=2", "trainer.max_tasks=2")
    epochs = ("trainer.init_epochs=2", "trainer.inc_epochs=2", "optimizer.init_milestones=[]")
    config, data = main_job(
        "cuda", *cut, *epochs, "optimizer.inc_milestones=[]", f"trainer.precision={precision}", "memory.size=400"
    )
    try:
        build_trainer(config, data, observer).run()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert observer.watched > 10


class NoReading(TorchDispatchMode):
    """Refuses operations that would have to wait on a GPU."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func.overloadpacket.__name__ not in READS, f"{func} reads from the device"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("given", [*(f"method={name}" for name in available_methods()), "augment.view_bank=2"])
def test_no_step_reads_a_value_on_the_cpu_either(given, monkeypatch):
    call = Stepper.__call__

    def watched(self, *arguments):
        with NoReading():
            return call(self, *arguments)

    monkeypatch.setattr(Stepper, "__call__", watched)
    trainer = make_trainer(given, "memory.size=80", "device=cpu", "trainer.max_tasks=2")
    trainer.run()
    assert trainer.observer.steps


def test_what_is_refused_would_be_seen():
    with NoReading():
        torch.ones(2).sum()
        with pytest.raises(AssertionError, match="reads from the device"):
            bool(torch.ones(2).sum())
