"""Training from Python: `cil.train("dataset=cifar100", "loss=ant", seed=1)`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cil.distributed.launch import launched
from cil.errors import ConfigError
from cil.planning.overrides import quoted

if TYPE_CHECKING:
    from cil.api.run import Run


def train(*overrides: str, folder: str | Path | None = None, **settings: Any) -> "Run":
    """Train one run, as `python -m cil.train OVERRIDES` does, and load it.

    overrides: as on the command line, resume=RUN and rerun=RUN included. settings: the same by name, with `__` for
    the dot (`trainer__init_epochs=3`). folder: where the run goes (default: outputs/NAME/TIME below the present
    folder); one that holds a run of the same settings is continued, or loaded if the run is finished.
    Raises ConfigError for a sweep and for wrong settings, DataError for broken data, and what stops a run.
    """
    from cil.api.run import load
    from cil.planning.plan import plan
    from cil.run.job import start_run

    if launched() is not None:
        raise ConfigError("cil.train: trains in one process; with torchrun, use -m cil.train KEY=VALUE ...")
    words = [*overrides, *(_override(key, value) for key, value in settings.items())]
    hydra = next((word for word in words if word.startswith(("hydra.", "hydra/", "-"))), None)
    if hydra is not None:
        raise ConfigError(f"{hydra}: cil.train starts one run without Hydra; give its place as folder=")
    planned = plan(words)
    if planned.multirun or planned.show or planned.launch.dry_run or planned.launch.probe:
        raise ConfigError("cil.train: starts one run; sweeps, dry_run and probe are for python -m cil.train")
    for warning in planned.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if planned.resume is not None and folder is not None:
        raise ConfigError("folder: stands beside resume, which goes on in its own folder; leave one out")
    return load(start_run(planned, None if folder is None else Path(folder)))


def _override(key: str, value: Any) -> str:
    """KEY=VALUE. A run's folder is taken as it stands, without Hydra's quotes."""
    return f"{key}={value}" if key in ("resume", "rerun") else f"{key.replace('__', '.')}={_written(value)}"


def _written(value: Any) -> str:
    """A Python value as an override writes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_written, value))}]"
    if isinstance(value, Path) or (isinstance(value, str) and not value.replace("_", "").isalnum()):
        return quoted(str(value))
    return str(value)
