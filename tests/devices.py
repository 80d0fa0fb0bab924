"""The devices of tests that must give the same on each; those on CUDA skip themselves where there is none."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from cil.bench.images import made_up
from cil.config.schema import RunConfig, TrainerConfig
from cil.data.training import TrainingData
from cil.engine.precision import set_reproducibility
from cil.planning.plan import plan

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]


@contextmanager
def deterministic(device: str) -> Iterator[None]:
    """As a run with trainer.deterministic=true computes on CUDA; on the CPU nothing has to be set."""
    if device == "cpu":
        yield
        return
    try:
        set_reproducibility(replace(TrainerConfig(), deterministic=True))
        yield
    finally:
        set_reproducibility(TrainerConfig())


def main_job(device: str, *overrides: str) -> tuple[RunConfig, TrainingData]:
    """CIFAR-100 10-10 with ResNet-18 as the main job has it, on made-up pixels, cut to a few images a class."""
    words = ["dataset=cifar100", "split=10-10", "loss=ant_adaptive", f"device={device}", *overrides]
    (job,) = plan(words, look_for_data=False).jobs
    return made_up(job.config, torch.device(device))
