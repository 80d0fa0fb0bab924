"""From a checked configuration to a trainer: the one way that runs, benchmarks and tests build one."""

from pathlib import Path

import torch

from cil.config.schema import RunConfig
from cil.data.training import TrainingData, load_training_data
from cil.distributed.launch import launched
from cil.engine.loop import Trainer
from cil.engine.observer import Observer, Silent
from cil.errors import ConfigError
from cil.methods import make_method


def resolve_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one. Of several processes on a machine each takes a GPU of its own.

    Raises ConfigError if there are fewer GPUs than processes.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device, launch = torch.device(name), launched()
    if device.type != "cuda" or launch is None:
        return device
    found = torch.cuda.device_count()
    if device.index is not None or launch.local_processes > found:
        valid = f"device=cuda or cpu, and torchrun --nproc_per_node={found} or fewer"
        raise ConfigError(
            f"device: {name}, but torchrun started {launch.local_processes} processes here and {found} GPUs are "
            f"visible: each takes one of its own; valid: {valid}"
        )
    return torch.device("cuda", launch.local_rank)


def build_data(config: RunConfig, run_folder: Path | None = None) -> TrainingData:
    """The images, on the configured device. Raises DataError; with `run_folder` after the cheap data check."""
    return load_training_data(config, resolve_device(config.device), run_folder)


def build_trainer(config: RunConfig, data: TrainingData | None = None, observer: Observer | None = None) -> Trainer:
    """A trainer at the start of its run. Raises DataError."""
    data = build_data(config) if data is None else data
    return Trainer(config, data, make_method(config), resolve_device(config.device), observer or Silent())
