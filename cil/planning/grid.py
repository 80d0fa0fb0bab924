"""The jobs of a sweep: its grid expanded, composed and checked as Hydra's launchers will do it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cil.config.identity import NOT_IN_IDENTITY, run_id
from cil.errors import ConfigError
from cil.planning.hydra_adapter import ConfigLoader
from cil.planning.jobs import Job, job_from_composed
from cil.planning.loading import compose_with
from cil.planning.merging import one_for_each_training
from cil.planning.overrides import OverrideChecker, written_keys
from cil.planning.stored import differences, refuse_other_classes, stored_config

_IDLE_KEYS = {key for key in NOT_IN_IDENTITY if key != "name"}


def is_grid(master: DictConfig) -> bool:
    """Whether the values come from the command line and YAML files, not from a sweeper that chooses them itself."""
    return str(master.hydra.sweeper.get("_target_")).endswith(".BasicSweeper")


def grid_jobs(loader: ConfigLoader, checker: OverrideChecker, master: DictConfig) -> Iterator[Job]:
    """Every job of the grid, in Hydra's order, repeats included. Raises ConfigError."""
    params = [f"{key}={value}" for key, value in (master.hydra.sweeper.get("params") or {}).items()]
    given = cast(dict[str, list[str]], OmegaConf.to_container(master.hydra.overrides, resolve=False))
    # Of a key that both set, the command line's values replace those that an experiment brings.
    overrides = checker.parse([*params, *given["task"]])
    if not is_grid(master):
        # Another sweeper chooses the values itself, while the sweep runs: check everything but those.
        overrides = [override for override in overrides if not override.is_sweep_override()]
    grid = [(texts, checker.parse(texts)) for texts in checker.expand(overrides)]
    swept_experiment = any(o.key_or_group == "experiment" and o.is_sweep_override() for o in overrides)
    for _, parsed in grid:
        for override in parsed:
            checker.check(override)
        check_experiments(loader, parsed, swept_experiment)
    numbers: dict[tuple[str, str], int] = {}
    for texts, parsed in grid:
        composed = compose_with(loader, [*given["hydra"], *texts], RunMode.RUN)
        OmegaConf.copy_cache(from_config=master, to_config=composed)
        if OmegaConf.is_interpolation(composed, "name"):
            composed.name = str(composed.name)  # `job_from_composed` copies the node, and would ask for the time again
        job = job_from_composed(composed, texts, written_keys(parsed))
        number = numbers.setdefault(job_key(job), len(numbers))
        yield replace(job, folder=job_folder(composed, job.run_id, number))
        # The cache holds what ${now:...} stands for: one time for all jobs of a command.
        OmegaConf.copy_cache(from_config=composed, to_config=master)


def check_experiments(loader: ConfigLoader, overrides: list[Override], swept: bool = False) -> None:
    """Raises ConfigError for two experiments that both bring a grid, or one that does among several values."""
    for override in overrides:
        if override.key_or_group != "experiment" or override.is_sweep_override():
            continue
        value: Any = override.value()
        names = [str(name) for name in (value if isinstance(value, list) else [value])]
        bringing = [name for name in names if brought_grid(loader, name)]
        if len(bringing) > 1:
            raise ConfigError(
                f"experiment: {' and '.join(bringing)} both bring a sweep grid, and only one can; "
                f"choose one of them, and give the other's values on the command line"
            )
        if swept and bringing:
            raise ConfigError(
                f"experiment: {bringing[0]} brings a sweep grid, so it cannot be one of several values; run it alone"
            )


def brought_grid(loader: ConfigLoader, experiment: str) -> dict[str, Any]:
    """The `hydra.sweeper.params` of conf/experiment/`experiment`.yaml; empty if it brings none."""
    loaded = loader.repository.load_config(f"experiment/{experiment}")
    params = None if loaded is None else OmegaConf.select(loaded.config, "hydra.sweeper.params")
    return cast(dict[str, Any], OmegaConf.to_container(params, resolve=False)) if params else {}


def job_key(job: Job) -> tuple[str, str]:
    """Jobs with the same key are one run."""
    return job.config.name, job.run_id


def job_folder(composed: DictConfig, identity: str, number: int) -> Path | None:
    """Where the job of this number writes; None where only its launcher can say."""
    sweep = composed.hydra.sweep
    composed.hydra.job.num = number
    try:
        own = OmegaConf.to_container(sweep, resolve=False)["subdir"] == "${cil.run_id:}"  # type: ignore[index, call-overload]
        return Path(str(sweep.dir)) / (identity if own else str(sweep.subdir))
    except OmegaConfBaseException:  # hydra.job.id and the like are known only when the job starts
        return None


@dataclass(frozen=True)
class Grid:
    """The jobs of a sweep."""

    jobs: list[Job]
    """Every run once."""
    warnings: list[str]
    notes: list[str]
    """A line for jobs that train alike, of which one is run."""


def distinct(jobs: list[Job], merge: bool = True) -> Grid:
    """Each job once; the copies are noted in the one that stands for them. merge: of jobs that train alike one, too.

    Raises ConfigError where only the data's place differs, or where two jobs would write into one folder.
    """
    first: dict[tuple[str, str], Job] = {}
    warnings = []
    for job in jobs:
        earlier = first.setdefault(job_key(job), job)
        if earlier is job:
            continue
        if job.config.dataset.root != earlier.config.dataset.root:
            raise ConfigError(
                f"dataset.root: two jobs differ only in {earlier.config.dataset.root} and {job.config.dataset.root}, "
                "and paths are no part of a run's identity; give each dataset.root its own dataset.name"
            )
        earlier.copies.append(job.overrides)
        ignored = sorted(set(job.overrides) ^ set(earlier.overrides))
        if any(text.split("=")[0].lstrip("+") in _IDLE_KEYS for text in ignored):
            warnings.append(f"{' '.join(job.overrides)}: is the same experiment as another job; runs once")
    kept, notes = one_for_each_training(list(first.values())) if merge else (list(first.values()), [])
    return Grid(kept, warnings + _check_folders(kept), notes)


def _check_folders(jobs: list[Job]) -> list[str]:
    """Warnings for folders of runs that used another dataset.root. Raises ConfigError for one of another run."""
    owners: dict[Path, Job] = {}
    warnings = []
    for job in jobs:
        if job.folder is not None and owners.setdefault(job.folder, job) is not job:
            raise ConfigError(
                f"hydra.sweep.subdir: two different jobs of the sweep would write into {job.folder}; "
                "leave it out (a job's folder is then its identity), or make it depend on every swept key"
            )
        if job.folder is not None and (job.folder / "config.yaml").is_file():
            try:
                stored = stored_config("hydra.sweep.subdir", str(job.folder))
            except ConfigError:
                continue  # a damaged file is this job's own failure, told when it is its turn
            roots = [config.get("dataset", {}).get("root") for config in (stored, job.effective)]
            if roots[0] != roots[1]:
                refuse_other_classes(job.folder, job.effective)
                warnings.append(
                    f"{job.folder}: was run with dataset.root={roots[0]}, here it is {roots[1]}; paths are no part of "
                    "a run's identity, so both count as the same images (other images need another dataset.name)"
                )
            if job.folder.name != job.run_id and run_id(stored) != job.run_id:
                # The folder's name says nothing of what ran in it.
                other = "; ".join(differences(stored, job.effective))
                raise ConfigError(
                    f"hydra.sweep.subdir: {job.folder} holds another run ({other}); "
                    "leave it out: a job's folder is then its identity"
                )
    return warnings
