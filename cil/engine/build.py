"""From a checked configuration to a trainer: the one way that runs, benchmarks and tests build one."""

from pathlib import Path

import torch

from cil.config.schema import RunConfig
from cil.data.training import TrainingData, load_training_data
from cil.engine.loop import Trainer
from cil.engine.observer import Observer, Silent
from cil.methods import make_method


def resolve_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def build_data(config: RunConfig, run_folder: Path | None = None) -> TrainingData:
    """The images, on the configured device. Raises DataError; with `run_folder` after the cheap data check."""
    return load_training_data(config, resolve_device(config.device), run_folder)


def build_trainer(config: RunConfig, data: TrainingData | None = None, observer: Observer | None = None) -> Trainer:
    """A trainer at the start of its run. Raises DataError."""
    data = build_data(config) if data is None else data
    return Trainer(config, data, make_method(config), resolve_device(config.device), observer or Silent())
