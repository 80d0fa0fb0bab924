"""trainer.on_oom=accumulate where memory really runs out, and its counterpart on the CPU, where that is simulated."""

import math

import pytest
import torch

from cil.bench.subject import Subject
from tests.devices import deterministic, main_job
from tests.engine.test_accumulate import SmallMemory
from tests.engine.test_loop import make_trainer

IMAGES = 512
"""A batch whose activations are gigabytes: what the allocator rounds to does not matter beside them."""


@pytest.mark.cuda
def test_a_full_device_splits_the_batch_and_goes_on():
    config, data = main_job("cuda", "trainer.on_oom=accumulate", f"trainer.batch_size={IMAGES}")
    with deterministic("cuda"):
        subject = Subject(config, data)
        subject.grow(1)
        stepper, batch = subject.trainer.stepper, next(subject.batches())
        peaks = {}
        for parts in (1, 1, 4):  # the first one starts the libraries
            stepper.micro_batches = parts
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            subject.step(batch)
            torch.cuda.synchronize()
            peaks[parts] = torch.cuda.max_memory_reserved()
        assert peaks[4] < 0.7 * peaks[1]
        stepper.micro_batches = 1
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info()
        room = (peaks[1] + peaks[4]) // 2 - torch.cuda.memory_reserved()
        filler = torch.empty(free - room, dtype=torch.uint8, device="cuda")
        counter = subject.method.network.ts_nets[0].stem[1].num_batches_tracked.clone()
        subject.step(batch)
        assert stepper.micro_batches in (2, 4)
        assert [event["micro_batches"] for event in stepper.memory_events] == [2, 4][: stepper.micro_batches // 2]
        # The attempts that failed have left the running statistics as they were.
        moved = subject.method.network.ts_nets[0].stem[1].num_batches_tracked - counter
        assert int(moved) == stepper.micro_batches
        subject.step(batch)
        subject.trainer.stepper.guard.flush()
        del filler
    assert math.isfinite(subject.trainer.stats.compute()["loss/total"])


def test_simulated_on_the_cpu():
    trainer = make_trainer("trainer.on_oom=accumulate")
    SmallMemory(trainer, rows=6, steps=4)
    trainer.run()
    assert [event["micro_batches"] for event in trainer.stepper.memory_events] == [2, 4]
    assert len(trainer.observer.tasks) == 3
