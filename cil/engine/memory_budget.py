"""The exemplar memory of a run; with `memory.total_mb`, what the model leaves of the budget after each task."""

import math
from collections.abc import Sequence

from cil.config.schema import MemoryPolicy, RunConfig
from cil.data.memory import MB, ExemplarMemory, image_bytes
from cil.data.training import TrainingData
from cil.engine.model_size import ModelSize, sizes_by_task
from cil.errors import ConfigError


def make_memory(config: RunConfig, data: TrainingData) -> ExemplarMemory:
    """An empty memory. Its quota after every task is known from the start, so that the work of the run is too."""
    tasks = data.stream.tasks[: config.trainer.max_tasks]
    sizes = images_by_known(config, [task.size for task in tasks], len(data.raw.classes))
    return ExemplarMemory(config.memory, len(data.raw.classes), sizes)


def images_by_known(config: RunConfig, task_sizes: Sequence[int], classes: int) -> dict[int, int] | None:
    """Classes so far after each task -> images in all beside the model then; None without `memory.total_mb`.

    task_sizes: classes of each task of the run; classes: those of the whole data set. Raises ConfigError for a budget
    that some task's model does not leave one exemplar a class of.
    """
    total = config.memory.total_mb
    if total is None:
        return None
    models = sizes_by_task(config, task_sizes)
    known = [sum(task_sizes[: number + 1]) for number in range(len(task_sizes))]
    image = image_bytes(config.dataset.image_size)
    shares = known if config.memory.policy is MemoryPolicy.total else [classes] * len(known)
    _check(config, total, models, [share * image for share in shares])
    budget = round(total * MB)
    return {k: (budget - model.bytes) // image for k, model in zip(known, models, strict=True)}


def _check(config: RunConfig, total: float, models: Sequence[ModelSize], least: Sequence[int]) -> None:
    """Names the task that needs most. least: bytes of one exemplar a class, after each task."""
    needed = [model.bytes + bytes_ for model, bytes_ in zip(models, least, strict=True)]
    worst = max(range(len(needed)), key=lambda number: needed[number])
    if round(total * MB) >= needed[worst]:
        return
    mb = f"{math.ceil(needed[worst] / 1000) / 1000:g}"  # rounded up: the number itself must be enough
    raise ConfigError(
        f"memory.total_mb: {total:g} is less than the {mb} MB that method={config.method.name} needs in task "
        f"{worst + 1} (model {models[worst].bytes / MB:.3f} MB, one exemplar a class {least[worst] / MB:.3f} MB); "
        f"valid: {mb} and more, or a smaller backbone"
    )
