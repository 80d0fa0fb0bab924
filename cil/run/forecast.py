"""What the last task will need, told before the first one starts. Changes no result."""

import gc
import logging
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch

from cil.config.schema import OnOom, Precision, RunConfig
from cil.config.typed import plain
from cil.config.usage import flat, why_unused
from cil.data.memory import image_bytes
from cil.data.stream import Task
from cil.distributed.launch import launched
from cil.engine.accumulate import backward
from cil.engine.memory_budget import images_by_known
from cil.engine.model_size import grown, sizes_by_task
from cil.engine.optim import make_optimizer
from cil.engine.precision import autocast
from cil.methods.base import Method
from cil.methods.phases import main_phase
from cil.records.folder import RunFolder

logger = logging.getLogger("cil")
Forecast = dict[str, Any]
DRY_STEPS = 2
"""Of the second one on, the optimiser's momentum is there too."""


def forecast_once(config: RunConfig, folder: RunFolder, tasks: Sequence[Task], device: torch.device) -> Forecast | None:
    """The forecast of a run, told and noted in status.json; None if trainer.forecast is off.

    A continued run keeps the one it began with: its result.json is to be that of the unbroken run.
    """
    if not config.trainer.forecast:
        return None
    forecast: Forecast | None = folder.noted("forecast")
    if forecast is None or forecast["device"] != device.type:
        forecast = make_forecast(config, tasks, device)
        folder.note(forecast=forecast)
        for line in describe(forecast, config):
            logger.info(line)
            print(line, flush=True)
    return forecast


def make_forecast(config: RunConfig, tasks: Sequence[Task], device: torch.device) -> Forecast:
    """Plain values: `tasks`, `parameters` of the last task's network (frozen parts and teacher included),
    `exemplar_bytes`, `device`, and `peak_bytes` of a training step of the last task; null where it is not measured
    (not on CUDA) or does not fit. With `memory.total_mb` also `budget`: `model_bytes` and `exemplars` after each task.
    """
    with torch.random.fork_rng(devices=[]):  # modules draw from the global stream before they are given their own
        method = grown(config, tasks)
    forecast: Forecast = {
        "tasks": len(tasks),
        "parameters": sum(p.numel() for p in method.network.parameters()),
        "exemplar_bytes": (config.memory.size or 0) * image_bytes(config.dataset.image_size),
        "device": device.type,
        "peak_bytes": None,
    }
    sizes = [task.size for task in tasks]
    room = images_by_known(config, sizes, tasks[-1].known)
    if room is not None:
        models = [model.bytes for model in sizes_by_task(config, sizes)]
        forecast["budget"] = {"model_bytes": models, "exemplars": list(room.values())}
        forecast["exemplar_bytes"] = room[tasks[-1].known] * image_bytes(config.dataset.image_size)
    if device.type == "cuda":
        forecast["peak_bytes"] = _peak_bytes(method, config, tasks[-1].known, device)
    return forecast


def _peak_bytes(method: Method, config: RunConfig, classes: int, device: torch.device) -> int | None:
    """Peak of allocated device memory in a training step, whatever lies there already included."""
    torch.cuda.reset_peak_memory_stats(device)
    try:
        dry_steps(method, config, classes, device)
        return torch.cuda.max_memory_allocated(device)
    except torch.OutOfMemoryError as error:
        logger.warning("forecast: a training step of the last task does not fit: %s", str(error).splitlines()[0])
        return None
    finally:
        # Nothing of it may show in the run's own memory figures.
        method.network.to("meta")
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def dry_steps(method: Method, config: RunConfig, classes: int, device: torch.device) -> None:
    """Training steps of a grown method on black images. The weights stay 0: only their place counts.

    Of several processes this is one: its steps are on the largest share of a batch that any of them has.
    """
    network = method.network.to_empty(device=device)
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            tensor.zero_()
    # The last phase may train two numbers (bic); what a phase has added to the network (foster) stays.
    method.begin_phase(0)
    network.train()
    method.begin_epoch(0, config.trainer.inc_epochs)
    optimizer = make_optimizer(network.parameters(), main_phase(config, first=False), config.optimizer.momentum)
    launch, side = launched(), config.dataset.image_size
    batch = math.ceil(config.trainer.batch_size / (1 if launch is None else launch.processes))
    views = torch.zeros(method.views * batch, 3, side, side, device=device)
    targets = torch.arange(batch, device=device) % classes

    def forward(rows: torch.Tensor | None) -> AbstractContextManager:
        del rows
        return autocast(config.trainer.precision, device)

    for _ in range(DRY_STEPS):
        optimizer.zero_grad(set_to_none=True)
        backward(method, views, targets, config.trainer.micro_batches, forward, lambda loss: loss)
        optimizer.step()


def describe(forecast: Forecast, config: RunConfig) -> list[str]:
    """One line for people, or a few."""
    parameters = forecast["parameters"]
    budget = forecast.get("budget")
    exemplars = budget["exemplars"][-1] if budget else config.memory.size or 0
    lines = [
        f"forecast: {_count(parameters)} parameters ({_size(4 * parameters)}) in task {forecast['tasks']}, "
        f"{exemplars} exemplars ({_size(forecast['exemplar_bytes'])} of pixels)"
    ]
    if budget:
        ends = [f"{_size(budget['model_bytes'][i])} and {budget['exemplars'][i]} images" for i in (0, -1)]
        lines.append(
            f"forecast: memory.total_mb={config.memory.total_mb:g} is shared by model and exemplars: {ends[0]} after "
            f"task 1, {ends[1]} after task {forecast['tasks']}"
        )
    if forecast["device"] == "cuda":
        peak = forecast["peak_bytes"]
        text = (
            "does not fit into the GPU's memory as it is now" if peak is None else f"takes {_size(peak)} of GPU memory"
        )
        lines.append(f"forecast: a training step of task {forecast['tasks']} {text}")
        if peak is None:
            lines[-1] += f"; what helps: {what_helps(config, forecast['device'])}"
    return lines


def what_helps(config: RunConfig, device: str) -> str:
    """The settings that save memory on the device, those in use already left out."""
    ways = [f"a smaller trainer.batch_size (now {config.trainer.batch_size})"]
    if config.trainer.precision is Precision.fp32:
        ways.append("trainer.precision=bf16")
    if config.trainer.on_oom is OnOom.fail and device == "cuda":
        ways.append("trainer.on_oom=accumulate")
    ways.append(f"more trainer.micro_batches (now {config.trainer.micro_batches})")
    if config.loss.chunk_rows is None and why_unused(flat(plain(config)), "loss.chunk_rows") is None:
        ways.append("loss.chunk_rows")
    ways += ["a smaller backbone", "fewer tasks (a larger split.increment)"]
    return ", ".join(ways)


def _count(number: int) -> str:
    return f"{number / 1e6:.1f} M" if number >= 1e6 else f"{number / 1e3:.1f} k"


def _size(count: int) -> str:
    """Bytes in powers of ten, as PyTorch's and the disk's tools do not agree on anything else."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e3:.1f} kB"
