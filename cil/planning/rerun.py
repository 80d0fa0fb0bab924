"""Jobs of `rerun=RUN`: one, or with -m a sweep around the stored configuration."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from cil.config.typed import flat
from cil.errors import ConfigError
from cil.planning.branch import branch_values, check_start
from cil.planning.grid import Grid, distinct, is_grid, job_folder, job_key
from cil.planning.hydra_adapter import ConfigLoader
from cil.planning.jobs import Job, job_from_composed
from cil.planning.loading import compose_with
from cil.planning.overrides import OverrideChecker, quoted, written_keys
from cil.planning.plugins import check_plugins
from cil.planning.stored import refuse_groups, stored_config, with_overrides


@dataclass(frozen=True)
class Rerun:
    """What new runs are made from."""

    folder: Path
    """The run with the stored configuration."""
    from_task: int | None = None
    """The task after which they branch off; None: they begin with the first one."""

    def job(self, stored: dict[str, Any], overrides: list[Override], checker: OverrideChecker) -> Job:
        """The new run with these single keys changed. Raises ConfigError."""
        texts = [str(override.input_line) for override in overrides]
        refuse_groups(texts, checker.groups)
        values = {str(override.key_or_group): override.value() for override in overrides}
        if self.from_task is not None:
            values |= branch_values(stored, self.folder, self.from_task)
        config = OmegaConf.create(with_overrides(stored, values))
        return job_from_composed(config, texts, written_keys(overrides))


def single_rerun(source: Rerun, overrides: list[Override], checker: OverrideChecker) -> Job:
    """The one new run. Raises ConfigError."""
    checker.refuse_sweep(overrides)
    stored = stored_config("rerun", str(source.folder))
    job = source.job(stored, overrides, checker)
    check_start(job)
    return job


def swept_reruns(
    source: Rerun, overrides: list[Override], hydra: list[str], loader: ConfigLoader, checker: OverrideChecker
) -> tuple[Grid, DictConfig]:
    """The new runs of a sweep, and what Hydra composed of its own overrides. Raises ConfigError."""
    master = compose_with(loader, hydra, RunMode.MULTIRUN)
    check_plugins(master)
    if not is_grid(master):
        raise ConfigError("rerun: a sweeper that chooses the values itself (hydra/sweeper) starts from no stored run")
    stored = stored_config("rerun", str(source.folder))
    grid = [checker.parse(texts) for texts in checker.expand(overrides)]
    for override in (override for parsed in grid for override in parsed):
        checker.check(override)
    found = distinct(list(_placed((source.job(stored, parsed, checker) for parsed in grid), master, loader)))
    for job in found.jobs:
        # One that has begun holds all it needs; what it came from may be gone.
        if job.folder is None or not any((job.folder / "checkpoints").glob("*.pt")):
            check_start(job)
    return found, master


def _placed(jobs: Iterator[Job], master: DictConfig, loader: ConfigLoader) -> Iterator[Job]:
    """The jobs with their folders, and with overrides that Hydra's launchers compose them from."""
    numbers: dict[tuple[str, str], int] = {}
    hydra = [str(text) for text in master.hydra.overrides.hydra]
    for job in jobs:
        spelled = spelled_out(job.effective)
        composed = compose_with(loader, [*hydra, *spelled], RunMode.RUN)
        OmegaConf.copy_cache(from_config=master, to_config=composed)
        number = numbers.setdefault(job_key(job), len(numbers))
        yield replace(job, folder=job_folder(composed, job.run_id, number), spelled=spelled)
        # The cache holds what ${now:...} stands for: one time for all jobs of a command.
        OmegaConf.copy_cache(from_config=composed, to_config=master)


def spelled_out(effective: dict[str, Any]) -> list[str]:
    """Overrides that lead to this effective configuration, whatever stands in conf/ besides the method."""
    values = {key: value for key, value in flat(effective).items() if value != {}}
    return [f"method={values['method.name']}", *(f"++{key}={_written(value)}" for key, value in values.items())]


def _written(value: Any) -> str:
    """A plain value in Hydra's grammar."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(_written, value))}]"
    return quoted(value) if isinstance(value, str) else repr(value)
