"""Experiment trackers that a run's records can be sent to: MLflow and Weights & Biases.

Where the records go is the tracker's own setting (MLFLOW_TRACKING_URI, WANDB_MODE, ...). Whatever the tracker's
library raises passes through: cil/run/mirror.py deals with it.
"""

import logging
import os
import secrets
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from cil.config.show import show
from cil.records.tensorboard import scalars

Record = dict[str, Any]


@dataclass(frozen=True)
class About:
    """What a tracker is told of a run beside its records."""

    name: str
    """Folder of the run, e.g. run/2026-11-25_10-00-00-3fa1b2."""
    group: str
    """Runs of one question: `name` of the configuration."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Dotted key -> plain value."""
    tags: list[str] = field(default_factory=list)
    notes: str | None = None


class Tracker(Protocol):
    """One run in a tracker. Used from one thread."""

    def begin(self, about: About, run: str | None) -> str:
        """Start a run, or go on with the run of this id; its id."""

    def log(self, record: Record) -> None:
        """The figures of an epoch or a task."""

    def end(self, state: str) -> None:
        """The run is finished, interrupted or failed, and all records have been sent."""


_ENDS = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
"""How a run ended, in MLflow's words."""
_PARAMS = 100
"""As many fit into one request to MLflow."""


class Mlflow:
    """Params: settings. Metrics: figures, step as in metrics.jsonl. Tags: `tags`, the note of the run: `notes`."""

    def begin(self, about: About, run: str | None) -> str:
        """See Tracker.begin. The experiment is MLFLOW_EXPERIMENT_NAME, or the group."""
        from mlflow import MlflowClient
        from mlflow.entities import Param

        # It tells on stderr, among the lines of the run, what it does to its database.
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self._client = MlflowClient()
        if run is None:
            experiment = self._experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME") or about.group)
            run = str(self._client.create_run(experiment, run_name=about.name).info.run_id)
            params = [
                Param(key, value if isinstance(value, str) else show(value)) for key, value in about.settings.items()
            ]
            for start in range(0, len(params), _PARAMS):
                self._client.log_batch(run, params=params[start : start + _PARAMS])
        else:
            self._client.update_run(run, status="RUNNING")
        self._run = run
        self._client.set_tag(run, "tags", ", ".join(about.tags))
        self._client.set_tag(run, "mlflow.note.content", about.notes or "")
        return run

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name))
            except Exception:  # another job may have been faster
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        return str(found.experiment_id)

    def log(self, record: Record) -> None:
        """See Tracker.log."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        figures = [Metric(tag, float(value), now, record["step"]) for tag, value in scalars(record).items()]
        if figures:
            self._client.log_batch(self._run, metrics=figures)

    def end(self, state: str) -> None:
        """See Tracker.end."""
        self._client.set_terminated(self._run, _ENDS[state])


_EXIT_CODES = {"finished": 0, "interrupted": 130, "failed": 1}


class Wandb:
    """Config: settings. Figures of epochs are drawn over `epoch`, those of tasks (`task/...`) over `task`."""

    def begin(self, about: About, run: str | None) -> str:
        """See Tracker.begin. The project is WANDB_PROJECT, or cil."""
        import wandb

        if wandb.setup().settings.mode == "online" and not wandb.login(prompt=False, verify=False):
            # On a terminal it would ask for a key, in the middle of the run.
            raise RuntimeError("not logged in; run `wandb login` first, or set WANDB_MODE=offline and sync later")
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or "cil",
            group=about.group,
            name=about.name,
            id=run or secrets.token_hex(6),
            resume="allow",
            config=about.settings,
            tags=list(dict.fromkeys(about.tags)),
            notes=about.notes,
            # stdout and stderr belong to the run; and what an earlier job left open is not this run.
            settings=wandb.Settings(console="off", silent=True, reinit="create_new"),
        )
        self._run.define_metric("*", step_metric="epoch")
        self._run.define_metric("task/*", step_metric="task")
        return str(self._run.id)

    def log(self, record: Record) -> None:
        """See Tracker.log."""
        axis = "task" if record["kind"] == "task" else "epoch"
        self._run.log({**scalars(record), axis: record["step"]})

    def end(self, state: str) -> None:
        """See Tracker.end."""
        self._run.finish(exit_code=_EXIT_CODES[state])


TRACKERS: dict[str, type[Tracker]] = {"mlflow": Mlflow, "wandb": Wandb}
"""By the values of `tracking.mirror`."""
