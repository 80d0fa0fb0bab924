"""A sweep whose values a sweeper chooses while it runs (hydra/sweeper=optuna): what it has found. Imports no torch."""

from pathlib import Path
from typing import Any

from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from cil.config.schema import RunConfig
from cil.errors import ConfigError
from cil.planning.grid import job_folder
from cil.planning.jobs import job_from_composed
from cil.planning.loading import compose_with, make_loader
from cil.planning.plan import Plan

RESULTS = "optimization_results.yaml"
"""What a sweeper leaves in the sweep's folder: `best_params`, `best_value`."""


def split_warnings(planned: Plan) -> list[str]:
    """One line where the values are chosen by what they do on test images."""
    config = _base(planned)
    if config is None or config.dataset.holdout_per_class is not None:
        return []
    return [
        "the sweeper sees accuracy on test images: what it chooses is chosen on the test set; "
        "dataset.holdout_per_class=N lets it see N training images a class, held out for that"
    ]


def prepare(planned: Plan) -> None:
    """Make the sweep's folder: a study is stored there before any job has made it."""
    folder = _folder(planned)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)


def best_text(planned: Plan) -> str | None:
    """The best parameters, their value, on which images it was measured, and the run; None if nothing is noted."""
    folder, config = _folder(planned), _base(planned)
    found = None if folder is None else _noted(folder / RESULTS)
    if found is None or config is None:
        return None
    params, value = found
    held_out = config.dataset.holdout_per_class
    images = "test images" if held_out is None else f"validation images ({held_out} held out of each class)"
    lines = [
        f"best parameters: {' '.join(params) or '(none were swept)'}",
        f"value: {value:z.2f} % average accuracy (incremental_avg_top1) on {images}",
    ]
    run = _run(planned, params)
    if run is not None:
        lines.append(f"run: {run}")
    lines += [f"warning: {line}" for line in split_warnings(planned)]
    return "\n".join(lines)


def _base(planned: Plan) -> RunConfig | None:
    """The settings that all trials share; of a swept key, the default."""
    return planned.jobs[0].config if planned.jobs else None


def _folder(planned: Plan) -> Path | None:
    folder = planned.jobs[0].folder if planned.jobs else None
    return None if folder is None else folder.parent


def _noted(path: Path) -> tuple[list[str], float] | None:
    """Best overrides and their value. Of several objectives, or of a sweeper with another file, nothing is said."""
    try:
        content: Any = OmegaConf.load(path)
        params, value = content["best_params"], float(content["best_value"])
        return [f"{key}={one}" for key, one in params.items()], value
    except (OSError, YAMLError, OmegaConfBaseException, KeyError, TypeError, ValueError, AttributeError):
        return None


def _run(planned: Plan, params: list[str]) -> Path | None:
    """Folder of the run with these parameters; None where it is not where a job of a sweep is by default."""
    overrides = [*planned.hydra_overrides, *planned.jobs[0].overrides, *params]
    try:
        composed: DictConfig = compose_with(make_loader(planned.config_dir), overrides, RunMode.RUN)
        folder = job_folder(composed, job_from_composed(composed).run_id, 0)
    except ConfigError:
        return None
    return folder if folder is not None and folder.is_dir() else None
