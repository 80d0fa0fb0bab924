"""A run from Python: `cil.load("outputs/...")`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cil.api.confusion import Confusion
from cil.config.schema import RunConfig
from cil.config.typed import plain
from cil.config.usage import flat
from cil.errors import ConfigError, DataError
from cil.methods.heads import CLASSIFIER
from cil.records.confusion import read_confusions
from cil.trained.folder import ClassInfo, StoredRun, open_run

if TYPE_CHECKING:
    import pandas as pd

    from cil.trained.model import TrainedModel


def load(path: str | Path) -> "Run":
    """The run in a folder, finished or not. Raises ConfigError where the folder holds no run."""
    return Run(open_run(path))


class Run:
    """One run. Everything is read when it is asked for, so a run that is still training can be looked at.

    What needs a finished run raises DataError on another one.
    """

    def __init__(self, stored: StoredRun) -> None:
        self._stored = stored

    def __repr__(self) -> str:
        return f"<cil run {self.path}: {self.config.method.name}, {self.config.dataset.name}, {self.state}>"

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self._stored.path

    @property
    def config(self) -> RunConfig:
        """The settings the run used, by group: `run.config.loss.name`. A key without effect is None."""
        return self._stored.config

    @property
    def settings(self) -> dict[str, Any]:
        """The same as plain values under dotted keys: `run.settings["loss.name"]`."""
        return flat(plain(self.config))

    @property
    def status(self) -> dict[str, Any]:
        """What status.json says now: state, progress, times; where it stopped and why."""
        return self._stored.status

    @property
    def state(self) -> str:
        """running, finished, failed, interrupted, or unknown."""
        return str(self.status.get("state", "unknown"))

    @property
    def result(self) -> dict[str, Any]:
        """What result.json holds (docs/api.md lists its keys)."""
        return self._stored.result

    @property
    def classes(self) -> list[ClassInfo]:
        """Position, original id, name and task of every class, in the order they were learned."""
        return self._stored.classes

    @property
    def metrics(self) -> "pd.DataFrame":
        """One row an epoch: task, epoch, step (epochs since the start of the run), and a column for each figure."""
        return _frame(self._stored.metrics(), "epoch")

    @property
    def tasks(self) -> "pd.DataFrame":
        """One row a task: accuracies after it, and what it was trained on."""
        return _frame(self._stored.metrics(), "task")

    def matrix(self, kind: str = "top1", subset: str = "test") -> "pd.DataFrame":
        """Accuracy matrix in per cent: row t, column k is the accuracy on the classes of task k after task t.

        kind: top1, top5, nme_top1, ...; subset: test or val. NaN above the diagonal and where nothing was measured.
        Raises ConfigError for a kind or subset that the run does not have.
        """
        import pandas as pd

        source = self.result if subset == "test" else self.result.get(subset)
        if not isinstance(source, dict):
            raise ConfigError(f"subset: {subset} is not one of {self.path}; valid: test, or val with a holdout")
        if kind not in source["matrices"]:
            valid = ", ".join(name for name, rows in source["matrices"].items() if rows)
            raise ConfigError(f"kind: {kind} is not one of {self.path}; valid: {valid}")
        rows = source["matrices"][kind]
        table = np.full((len(rows), len(rows)), np.nan)
        for number, row in enumerate(rows):
            table[number, : len(row)] = [np.nan if value is None else value for value in row]
        numbers = range(1, len(rows) + 1)
        return pd.DataFrame(table, pd.Index(numbers, name="after task"), pd.Index(numbers, name="test images of task"))

    def confusion(self, task: int | None = None, of: str = "classes", head: str = CLASSIFIER) -> Confusion:
        """Which test images were taken for which class, after a task (None: the last).

        of: classes, or tasks (summed). head: classifier, or nme and whatever else the method predicts with.
        Raises ConfigError for a task, `of` or head that there is not, DataError for a run that wrote no counts.
        """
        if of not in ("classes", "tasks"):
            raise ConfigError(f"of: {of!r} is unknown; valid: classes, tasks")
        number = self._stored.check_task(task)
        found = read_confusions(self.path).get(number)
        if found is None:
            raise DataError(
                f"{self.path}: holds no confusion counts after task {number} (a run of version 0.1.0); python -m "
                f"cil.evaluate {self.path} counts them anew where the network was kept"
            )
        if head not in found:
            raise ConfigError(f"head: {head!r} is not one of {self.path}; valid: {', '.join(found)}")
        of_classes = Confusion.of_classes(found[head], self.classes, number)
        return of_classes if of == "classes" else of_classes.by_task()

    def model(self, task: int | None = None) -> "TrainedModel":
        """The network after a task (None: the last), a torch module in eval mode on the CPU.

        `model(images)` gives `.logits` [B, classes] and `.features` [B, d] of images [B, 3, H, W], uint8 or floating
        point in [0, 1]. Raises ConfigError for a task that was not kept (checkpoint.keep_tasks=true keeps all).
        """
        from cil.trained.model import load_model

        return load_model(self._stored, task)

    def predict(
        self, images: Any, task: int | None = None, head: str | None = None, top: int = 5, device: str = "cpu"
    ) -> "pd.DataFrame":
        """The most likely classes of images: `top` rows for each, with image, rank, name, id, position and score.

        images: a path or several, PIL images, or an array uint8 [N, H, W, 3], resized and cut as the run's test images
        are; or a tensor [N, 3, S, S] of the network's size. head: classifier (score: softmax probability) or nme
        (score: minus the distance to the class mean); None: the one the method is judged by.
        Raises ConfigError for a head that there is not, DataError for an image that cannot be read.
        """
        import pandas as pd

        from cil.trained.predict import predict

        return pd.DataFrame(predict(self._stored, images, task, head, top, device))

    def evaluate(self, task: int | None = None, **settings: Any) -> dict[str, Any]:
        """`python -m cil.evaluate`: writes evaluation.json and pictures, and returns what the file holds.

        settings: parts, embedding, probe_images; or keys of the run with `__` for the dot (dataset__root="...").
        Raises ConfigError and DataError.
        """
        from cil.evaluate.cli import OWN, evaluate_run

        own = OWN | {"task": task} | {key: value for key, value in settings.items() if key in OWN}
        others = {key.replace("__", "."): value for key, value in settings.items() if key not in OWN}
        wrong = next((key for key in others if key not in self.settings), None)
        if wrong is not None:
            raise ConfigError(f"{wrong}: is unknown; valid: {', '.join(OWN)}, or a key of the run (dataset__root=...)")
        return evaluate_run(self._stored, own, others, say=lambda _: None)

    def export(
        self, folder: str | Path | None = None, formats: str | Sequence[str] = ("safetensors", "program")
    ) -> Path:
        """`python -m cil.export`: files to use the network without this project; the folder they are in.

        Raises ConfigError for an unknown format, one whose packages are missing, and a folder that holds other files.
        """
        from cil.export.export import export_run

        chosen = [one.strip() for one in formats.split(",")] if isinstance(formats, str) else formats
        return export_run(self._stored, None if folder is None else Path(folder), chosen, None)


def _frame(records: list[dict[str, Any]], kind: str) -> "pd.DataFrame":
    import pandas as pd

    rows = [{key: value for key, value in record.items() if key != "kind"} for record in records]
    return pd.DataFrame([row for row, record in zip(rows, records, strict=True) if record.get("kind") == kind])
