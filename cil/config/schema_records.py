"""Schema of what a run saves, shows and comes from: checkpoints, tracking, branch; part of cil/config/schema.py, which
exports it.
"""

from dataclasses import dataclass
from enum import Enum

from cil.config.keys import ABOVE_ZERO, at_least, key

Mirror = Enum("Mirror", ["mlflow", "wandb"])


@dataclass
class CheckpointConfig:
    """When the state of a run is saved, and what is kept. Never changes a result."""

    every_minutes: float = key(10.0, rule=ABOVE_ZERO)
    """Minutes between checkpoints inside a task; one more is written at every task end and at a stop signal."""
    keep_tasks: bool = False
    """Keep the state of every task end (no optimiser), for later evaluation and for `from_task`."""
    keep_all: bool = False
    """Keep the full state of a finished run (optimiser included), not only its final model."""
    max_failures: int = key(3, rule=at_least(1))
    """Failed saves in a row (a full disk) after which the run stops. Until then it goes on and tries again."""


@dataclass
class TrackingConfig:
    """What is shown and written. Never changes a result."""

    tensorboard: bool = True
    """Write TensorBoard events into the run's folder."""
    progress: bool = True
    """Show the progress bar."""
    confusion_matrix: bool = True
    """Draw the confusion matrix of every task into TensorBoard."""
    similarity_histogram: bool = True
    """Draw the similarities of positive and negative pairs after every task into TensorBoard."""
    mirror: Mirror | None = key(None, neutral=None)
    """Send every record of metrics.jsonl to a tracker too: mlflow or wandb, where its package is installed."""
    gradient_share_every: int = key(0, rule=at_least(0))
    """Every N epochs of a task (the first and the last too), on one batch: gradient of each loss term in the shared
    net, and cosines. 0: off."""
    mechanism_every: int = key(0, rule=at_least(0), neutral=0)
    """Every N epochs of a task (the first and the last too), on one fixed batch: what all eight forms of ANT do with
    the same similarities, and ANT's gradient beside InfoNCE's (docs/mechanism.md). 0: off."""


@dataclass
class BranchConfig:
    """Where a run branched off another one. Set by `rerun=RUN from_task=k`, never by hand."""

    run_id: str | None = key(None, neutral=None)
    """Identity of the run whose tasks 1 to `task` this one inherits. null: it inherits none."""
    task: int | None = key(None, neutral=None, rule=at_least(1))
    """The last inherited task."""
    run: str | None = key(None, neutral=None)
    """Folder of that run when the branch was started. Where it lies is no part of the identity."""
