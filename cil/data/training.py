"""The images of a run, cut into tasks, with their loader."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cil.config.schema import RunConfig
from cil.data.base import RawDataset
from cil.data.check import check_at_start, listed
from cil.data.device_loader import make_loader
from cil.data.loader import BatchLoader
from cil.data.memory import ExemplarMemory
from cil.data.sources import load_dataset
from cil.data.stream import TaskStream, class_order, task_sizes


@dataclass(frozen=True)
class TrainingData:
    """Images, their loader and how the classes come."""

    raw: RawDataset
    loader: BatchLoader
    stream: TaskStream
    fingerprint: str
    """Which data this is: hash of the list of image files, or of labels and pixels; the same wherever it lies."""

    def indices(self, subset: str, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """(indices, targets) of the images of the classes at positions first..last-1, in file order."""
        images = getattr(self.raw, subset)
        positions = self.stream.positions(images.labels)
        chosen = np.flatnonzero((positions >= first) & (positions < last))
        return chosen, positions[chosen]


def memory_notes(config: RunConfig, data: TrainingData, memory: ExemplarMemory) -> list[str]:
    """One line if classes have fewer images than the memory would keep of them."""
    tasks = data.stream.tasks[: config.trainer.max_tasks]
    if not memory.wanted:
        return []
    counts = np.bincount(data.indices("train", 0, tasks[-1].known)[1], minlength=tasks[-1].known)
    names = [name for task in tasks for name in task.names]
    quotas = [memory.quota(task.known) for task in tasks for _ in task.classes]
    short = [i for i, (count, wanted) in enumerate(zip(counts, quotas, strict=True)) if count < wanted]
    if not short:
        return []
    first = short[0]
    key = f"size={config.memory.size}" if memory.sizes is None else f"total_mb={config.memory.total_mb:g}"
    return [
        f"memory.{key}: {len(short)} of {len(names)} classes have fewer images than their quota (the "
        f"first: {names[first]}, {counts[first]} of {quotas[first]}); all of theirs are kept, the memory is not full"
    ]


def load_training_data(config: RunConfig, device: torch.device, run_folder: Path | None = None) -> TrainingData:
    """Read the images and cut them into tasks; with `run_folder` after the cheap data check. Raises DataError."""
    fingerprint = ""

    def look(whole: RawDataset) -> None:
        nonlocal fingerprint
        cfg = config.dataset
        found = listed(whole, cfg.root) if run_folder is None else check_at_start(whole, cfg, run_folder)
        fingerprint = found.fingerprint

    raw = load_dataset(config.dataset, look)
    order = class_order(config.class_order, config.class_order_seed, len(raw.classes))
    stream = TaskStream(order, task_sizes(config.split, len(raw.classes)), list(raw.classes))
    loader = make_loader(raw, config.augment, config.dataset, device)
    return TrainingData(raw, loader, stream, fingerprint)
