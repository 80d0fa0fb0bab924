"""What happens when a task's last epoch is over: exemplars, class means, weight alignment, evaluation."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cil.config.schema import MemoryConfig
from cil.data.herding import class_mean, herd
from cil.data.memory import ExemplarMemory, quota
from cil.data.stream import Task
from cil.data.training import TrainingData
from cil.engine.evaluate import Evaluator, Scores
from cil.engine.metrics import AccuracyHistory
from cil.engine.picture_data import FigureData
from cil.methods.base import Method

Record = dict[str, Any]
TASK_FIGURES = ("incremental_avg_top1", "forgetting_top1", "nme_incremental_avg_top1", "nme_forgetting_top1")


class TaskEnd:
    """Keeps what a run carries from task to task besides the network: exemplars, class means and figures."""

    def __init__(self, config: MemoryConfig, data: TrainingData, evaluator: Evaluator, figures: FigureData) -> None:
        self.config = config
        self.data = data
        self.evaluator = evaluator
        self.figures = figures
        self.memory = ExemplarMemory(config, len(data.raw.classes))
        self.class_means: Tensor | None = None
        self.history = AccuracyHistory()
        self.val_history = AccuracyHistory()
        self.task_records: list[Record] = []

    def finish(self, method: Method, task: Task, epoch_record: Record, facts: Record) -> Record:
        """Memory, alignment, evaluation, in this order; completes `epoch_record` and returns the task's record.

        `figures` of the record is what is to be drawn; it is not kept here.
        """
        self._update_memory(method, task)
        method.end_task()
        scores = self._evaluate(method, task, self.class_means)
        tasks = self.data.stream.tasks[: task.number]
        for split, history in (("test", self.history), ("val", self.val_history)):
            if split in scores:
                history.add(scores[split].rows(tasks), scores[split].overall())
                epoch_record[f"{split}/top1"] = scores[split].accuracy("top1")
                epoch_record[f"{split}/nme_top1"] = scores[split].accuracy("nme_top1")
        facts |= {
            "exemplars": len(self.memory.all_indices()),
            "test_images": int(scores["test"].total.sum()),
            "new_classes_at_chance": scores["test"].at_chance(task.first),
            "loss_weights": method.loss_weights(),
        }
        record = self._record(task) | facts
        indices, targets = self._at_hand(task)
        figures = self.figures.collect(method, tasks, scores["test"], indices, targets)
        self.task_records.append(record)
        return record | {"figures": figures}

    def _at_hand(self, task: Task) -> tuple[np.ndarray, np.ndarray]:
        """(indices, targets) of the task's train images and of the exemplars of earlier classes."""
        new, targets = self.data.indices("train", task.first, task.known)
        kept = self.memory.all_indices()
        positions = self.data.stream.positions(self.data.raw.train.labels[kept])
        old = positions < task.first
        return np.concatenate([new, kept[old]]), np.concatenate([targets, positions[old]])

    def classifier_accuracy(self, method: Method, task: Task) -> Record:
        """Top-1 over all classes so far in the middle of a task, by tag."""
        return {f"{split}/top1": s.accuracy("top1") for split, s in self._evaluate(method, task, None).items()}

    def _record(self, task: Task) -> Record:
        figures = self.history.figures()
        record: Record = {"kind": "task", "task": task.number, "step": task.number}
        record |= {f"task/{kind}": curve[-1] for kind, curve in self.history.curves.items()}
        record |= {f"task/{name}": figures[name] for name in TASK_FIGURES}
        for earlier, accuracy in enumerate(self.history.matrices["top1"][-1]):
            record[f"task/top1_task_{earlier:02d}"] = accuracy
        if self.data.raw.val is not None:
            record |= {f"task/val_{kind}": curve[-1] for kind, curve in self.val_history.curves.items()}
        return record

    def _update_memory(self, method: Method, task: Task) -> None:
        """Shrink old classes, herd the new ones, and recompute every class mean under the present network."""
        if not self.config.size:
            return
        count = quota(self.config, task.known, len(self.data.raw.classes))
        self.memory.shrink(count)
        for position in range(task.first, task.known):
            indices, _ = self.data.indices("train", position, position + 1)
            features = self.evaluator.features(method, "train", indices)
            picked = herd(features, min(count, len(indices)))
            self.memory.add(position, indices[picked.cpu().numpy()].tolist())
        features = self.evaluator.features(method, "train", self.memory.all_indices())
        sizes = [len(self.memory.indices[position]) for position in range(task.known)]
        self.class_means = torch.stack([class_mean(part) for part in features.split(sizes)])

    def _evaluate(self, method: Method, task: Task, class_means: Tensor | None) -> dict[str, Scores]:
        """Scores on the test images (and the validation images, if there are any) of all classes so far."""
        splits = ("test",) if self.data.raw.val is None else ("test", "val")
        scores = {}
        for split in splits:
            indices, targets = self.data.indices(split, 0, task.known)
            scores[split] = self.evaluator.score(method, split, indices, targets, class_means)
        return scores

    def exemplars_for(self, task: Task) -> int:
        """Exemplars that `task` will be trained with."""
        if not (task.first and self.config.size):
            return 0
        positions = self.data.stream.positions(self.data.raw.train.labels)
        images = np.bincount(positions[(positions >= 0) & (positions < task.first)], minlength=task.first)
        return int(np.minimum(images, quota(self.config, task.first, len(self.data.raw.classes))).sum())

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values."""
        return {
            "memory": self.memory.state_dict(),
            "class_means": self.class_means,
            "history": self.history.state_dict(),
            "val_history": self.val_history.state_dict(),
            "task_records": list(self.task_records),
        }

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Continue from `state`."""
        self.memory.load_state_dict(state["memory"])
        means = state["class_means"]
        self.class_means = None if means is None else means.to(device)
        self.history.load_state_dict(state["history"])
        self.val_history.load_state_dict(state["val_history"])
        self.task_records = list(state["task_records"])
