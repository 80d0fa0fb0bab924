"""What happens when a task's last epoch is over: exemplars, class means, weight alignment, evaluation."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cil.config.schema import RunConfig
from cil.data.herding import class_mean
from cil.data.memory import image_bytes
from cil.data.selection import Candidates, selection_of
from cil.data.stream import Task
from cil.data.training import TrainingData
from cil.distributed.ranks import from_first
from cil.engine.collision import class_prototypes, collision
from cil.engine.evaluate import Evaluator, Scores, evaluation_heads
from cil.engine.learning_speed import LearningSpeed
from cil.engine.memory_budget import make_memory
from cil.engine.metrics import AccuracyHistory, figure_name
from cil.engine.model_size import model_size, sizes_by_task, unpruned
from cil.engine.picture_data import PictureData
from cil.methods.base import Method
from cil.seeding import generator

Record = dict[str, Any]
TASK_FIGURES = ("incremental_avg", "forgetting")
"""Headline figures that are followed from task to task, for the top-1 accuracy of every head."""


class TaskEnd:
    """Keeps what a run carries from task to task besides the network: exemplars, class means and figures."""

    def __init__(
        self,
        config: RunConfig,
        data: TrainingData,
        method: Method,
        evaluator: Evaluator,
        pictures: PictureData,
        speed: LearningSpeed | None = None,
    ) -> None:
        self.config = config
        self.data = data
        self.method = method
        self.evaluator = evaluator
        self.pictures = pictures
        self.speed = speed
        self.memory = make_memory(config, data)
        self.class_means: Tensor | None = None
        heads = evaluation_heads(method)
        self.history = AccuracyHistory(heads)
        self.val_history = AccuracyHistory(heads)
        self.task_records: list[Record] = []
        self.confusions: dict[int, dict[str, Tensor]] = {}
        """Task -> head -> test images int32 [C, C] of class (row) taken for class (column), after that task."""

    def finish(self, task: Task, epoch_record: Record, facts: Record) -> Record:
        """End of the training, memory, the method's own end of the task, evaluation, in this order.

        Completes `epoch_record` and returns the task's record; `figures` in it is what is to be drawn, and not kept.
        """
        self.method.end_training()
        self._update_memory(task)
        prototypes = self._prototypes(task)
        if prototypes is not None:
            self.method.remember(prototypes)
        self.method.end_task()
        scores = self._evaluate(task, self.class_means)
        if prototypes is not None:
            facts |= collision(prototypes, task.first, scores["test"].confusion)
        tasks = self.data.stream.tasks[: task.number]
        for subset, history in (("test", self.history), ("val", self.val_history)):
            if subset in scores:
                history.add(scores[subset].rows(tasks), scores[subset].overall())
                epoch_record |= {
                    f"{subset}/{kind}": accuracy
                    for kind, accuracy in scores[subset].overall().items()
                    if kind.endswith("top1")
                }
        facts |= {
            "exemplars": len(self.memory),
            "test_images": int(scores["test"].total.sum()),
            "new_classes_at_chance": scores["test"].at_chance(task.first),
            "loss_weights": self.method.loss_weights(),
        }
        confusions = scores["test"].confusions
        self.confusions[task.number] = {head: torch.from_numpy(c).to(torch.int32) for head, c in confusions.items()}
        record = self._record(task) | facts
        indices, targets = self._at_hand(task)
        pictures = self.pictures.collect(self.method, tasks, scores["test"], indices, targets)
        self.task_records.append(record | self._costs(task))
        return record | {"figures": pictures}

    def _costs(self, task: Task) -> Record:
        """What has to be kept to predict after the task, and for the tasks to come; with pruning also what the model
        would be without.
        """
        model = model_size(self.method)
        exemplars = len(self.memory) * image_bytes(self.config.dataset.image_size)
        costs = {"parameters": model.parameters, "model_bytes": model.bytes, "exemplar_bytes": exemplars}
        if self.config.prune.ratio:
            sizes = [one.size for one in self.data.stream.tasks[: self.config.trainer.max_tasks]]
            whole = sizes_by_task(unpruned(self.config), sizes)[task.number - 1]
            costs |= {"unpruned_parameters": whole.parameters, "unpruned_bytes": whole.bytes}
        return costs

    def _at_hand(self, task: Task) -> tuple[np.ndarray, np.ndarray]:
        """(indices, targets) of the task's train images and of the exemplars of earlier classes."""
        new, targets = self.data.indices("train", task.first, task.known)
        kept = self.memory.all_indices()
        positions = self.data.stream.positions(self.data.raw.train.labels[kept])
        old = positions < task.first
        return np.concatenate([new, kept[old]]), np.concatenate([targets, positions[old]])

    def classifier_accuracy(self, task: Task) -> Record:
        """Top-1 over all classes so far in the middle of a task, by tag."""
        return {f"{subset}/top1": s.accuracy("top1") for subset, s in self._evaluate(task, None).items()}

    def _record(self, task: Task) -> Record:
        figures = self.history.figures()
        record: Record = {"kind": "task", "task": task.number, "step": task.number}
        record |= {f"task/{kind}": curve[-1] for kind, curve in self.history.curves.items()}
        top1 = [kind for kind in self.history.curves if kind.endswith("top1")]
        names = [figure_name(figure, kind) for kind in top1 for figure in TASK_FIGURES]
        record |= {f"task/{name}": figures[name] for name in names}
        for earlier, accuracy in enumerate(self.history.matrices["top1"][-1]):
            record[f"task/top1_task_{earlier:02d}"] = accuracy
        if self.data.raw.val is not None:
            record |= {f"task/val_{kind}": curve[-1] for kind, curve in self.val_history.curves.items()}
        return record

    def _update_memory(self, task: Task) -> None:
        """Shrink old classes, choose exemplars of the new ones, and recompute every class mean."""
        if not self.memory.wanted:
            return
        select = selection_of(self.config.memory)
        count = self.memory.quota(task.known)
        self.memory.shrink(count)
        for position in range(task.first, task.known):
            indices, _ = self.data.indices("train", position, position + 1)
            picked = select(self._candidates(indices, task.number, position), count).cpu().numpy()
            self.memory.add(position, indices[from_first(picked)].tolist())
        features = self.evaluator.features(self.method, "train", self.memory.all_indices())
        sizes = [len(self.memory.indices[position]) for position in range(task.known)]
        self.class_means = torch.stack([class_mean(part) for part in features.split(sizes)])

    def _prototypes(self, task: Task) -> Tensor | None:
        """Mean embedding of the exemplars of every class so far, [C, D]; None without exemplars or embeddings."""
        if not self.memory.wanted:
            return None
        embeddings = self.evaluator.embeddings(self.method, "train", self.memory.all_indices())
        if embeddings is None:
            return None
        return class_prototypes(embeddings, [len(self.memory.indices[position]) for position in range(task.known)])

    def _candidates(self, indices: np.ndarray, task: int, position: int) -> Candidates:
        """The images of a new class, at `indices` of the train set."""

        def features(places: Tensor | None) -> Tensor:
            chosen = indices if places is None else indices[places.cpu().numpy()]
            return self.evaluator.features(self.method, "train", chosen)

        def speeds() -> Tensor:
            assert self.speed is not None, "counted where memory.selection=speed"
            return self.speed.of(indices)

        stream = generator(self.config.seed, "selection", task, position)
        return Candidates(len(indices), features, speeds, stream)

    def _evaluate(self, task: Task, class_means: Tensor | None) -> dict[str, Scores]:
        """Scores on the test images (and the validation images, if there are any) of all classes so far."""
        subsets = ("test",) if self.data.raw.val is None else ("test", "val")
        scores = {}
        for subset in subsets:
            indices, targets = self.data.indices(subset, 0, task.known)
            scores[subset] = self.evaluator.score(self.method, subset, indices, targets, class_means)
        return scores

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values."""
        return {
            "memory": self.memory.state_dict(),
            "class_means": self.class_means,
            "history": self.history.state_dict(),
            "val_history": self.val_history.state_dict(),
            "task_records": list(self.task_records),
            "confusions": dict(self.confusions),
        }

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Continue from `state`."""
        self.memory.load_state_dict(state["memory"])
        means = state["class_means"]
        self.class_means = None if means is None else means.to(device)
        self.history.load_state_dict(state["history"])
        self.val_history.load_state_dict(state["val_history"])
        self.task_records = list(state["task_records"])
        self.confusions = dict(state.get("confusions", {}))  # 0.1.0 kept none
