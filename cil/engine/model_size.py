"""How large a method's model is after each task: measured, or told beforehand without training."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from cil.config.schema import RunConfig
from cil.config.typed import plain, typed
from cil.data.stream import Task, TaskStream
from cil.methods import make_method
from cil.methods.base import Method

_BYTES = 4
"""Of a number of the model, float32 whatever it was trained in."""


@dataclass(frozen=True)
class ModelSize:
    """What a method needs to predict: its parameters, and the bytes of those and of its batch-norm statistics."""

    parameters: int
    bytes: int


def model_size(method: Method) -> ModelSize:
    """The size of `method.deployed()`; what is shared counts once, and counters of batches do not count."""
    deployed = nn.ModuleList(method.deployed())
    parameters = sum(p.numel() for p in deployed.parameters())
    statistics = sum(b.numel() for b in deployed.buffers() if b.is_floating_point())
    return ModelSize(parameters, _BYTES * (parameters + statistics))


def sizes_by_task(config: RunConfig, task_sizes: Sequence[int]) -> list[ModelSize]:
    """The model's size after each task of so many classes, without training and without a random number."""
    return list(_sizes_by_task(_network_settings(config), tuple(task_sizes)))


def unpruned(config: RunConfig) -> RunConfig:
    """The same configuration without pruning."""
    return replace(config, prune=replace(config.prune, ratio=0.0))


def _network_settings(config: RunConfig) -> str:
    """The configuration as text, without what runs of one sweep usually differ in and no size depends on."""
    values = plain(config)
    values |= {"name": "run", "seed": 0, "class_order": "natural", "class_order_seed": 0}
    values["memory"]["total_mb"] = None
    return json.dumps(values, sort_keys=True)


@lru_cache(maxsize=64)
def _sizes_by_task(settings: str, task_sizes: tuple[int, ...]) -> tuple[ModelSize, ...]:
    tasks = TaskStream(range(sum(task_sizes)), task_sizes, list(map(str, range(sum(task_sizes))))).tasks
    with torch.random.fork_rng(devices=[]), torch.device("meta"), WithoutDraws():
        return tuple(map(model_size, _growing(typed(json.loads(settings)), tasks)))


def _growing(config: RunConfig, tasks: Sequence[Task]) -> Iterator[Method]:
    """One method, each time it has begun every phase of one more task."""
    method = make_method(config)
    for task in tasks:
        begin_whole(method, task)
        yield method


def begin_whole(method: Method, task: Task) -> None:
    """Begin `task` and every phase of it: afterwards the method has the shape that it has after the task."""
    method.begin_task(task)
    for phase in range(len(method.phases(task))):
        method.begin_phase(phase)


def grown(config: RunConfig, tasks: Sequence[Task]) -> Method:
    """A throw-away method that has begun every phase of every task. Its tensors have shapes, no memory, no values."""
    with torch.device("meta"), WithoutDraws():
        *_, method = _growing(config, tasks)
    return method


# Methods of tensors, and functions of torch.nn.init (which call the former past this mode).
_DRAWS = ("normal_", "uniform_", "kaiming_normal_", "kaiming_uniform_", "xavier_normal_", "xavier_uniform_")


class WithoutDraws(TorchFunctionMode):
    """Leaves out random initialisation: without values there is nothing to draw, and on "meta" PyTorch imports its
    compiler for it, which takes seconds.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        if getattr(func, "__name__", "") in _DRAWS:
            return args[0] if args else named["tensor"]
        return func(*args, **named)
