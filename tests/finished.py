"""A small finished run, for whatever works on runs that are over."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import cil

SETTINGS = {
    "method": "icarl",
    "backbone": "resnet8",
    "split.sizes": [2, 3, 2],
    "dataset.max_train_per_class": 30,
    "dataset.max_test_per_class": 12,
    "trainer.init_epochs": 4,
    "trainer.inc_epochs": 3,
    "trainer.batch_size": 20,
    "optimizer.init_milestones": [],
    "optimizer.inc_milestones": [],
    "memory.size": 35,
    "checkpoint.keep_tasks": True,
    "tracking.progress": False,
    "name": "small",
}
"""iCaRL: of the methods with nearest class means the quickest."""


@dataclass(frozen=True)
class Finished:
    """A run's folder, and copies of it to be changed."""

    path: Path

    def copy(self, place: Path) -> Path:
        """The run once more, in `place`."""
        return Path(shutil.copytree(self.path, place / "copy"))


def train_finished(folder: Path, **settings) -> Finished:
    run = cil.train(folder=folder / "run", **{**SETTINGS, **settings})
    return Finished(run.path)
