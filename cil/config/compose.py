"""Preflight: from a command line to the checked jobs, before anything is started or written.

`plan` composes what Hydra will compose, so that a mistake in the last job of a sweep stops the first one.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobRuntime, setup_globals
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cil.config.arguments import Arguments, parse_arguments
from cil.config.effective import effective
from cil.config.identity import NOT_IN_IDENTITY, run_id
from cil.config.launch import LaunchConfig
from cil.config.locations import config_dir
from cil.config.overrides import OverrideChecker, written_keys
from cil.config.ranges import check_ranges
from cil.config.resolvers import register
from cil.config.schema import RunConfig
from cil.config.stored import refuse_differences, refuse_groups, stored_config, with_overrides
from cil.config.typed import plain, typed
from cil.config.validate import validate
from cil.errors import ConfigError

VERSION_BASE = "1.3"
"""Behaviour of Hydra that conf/ is written for."""


@dataclass(frozen=True)
class Job:
    """One run to do."""

    overrides: list[str]
    """Overrides that lead to it (without hydra.* ones)."""
    config: RunConfig
    """Typed, resolved, effective."""
    effective: dict[str, Any]
    """The same as plain values: what config.yaml holds."""
    run_id: str
    """Identity; names the folder in a sweep."""
    warnings: list[str] = field(default_factory=list)
    """Settings that have no effect, one line each."""
    folder: Path | None = None
    """Where a job of a sweep writes; None for a single run, whose folder is drawn when it starts."""
    copies: list[list[str]] = field(default_factory=list)
    """Overrides of other jobs of the sweep that are this one again."""


@dataclass(frozen=True)
class Plan:
    """What a command line asks for."""

    jobs: list[Job]
    """Every job once; empty where Hydra only prints something."""
    show: bool = False
    """Hydra only prints something (--help, --cfg, --info, ...)."""
    multirun: bool = False
    warnings: list[str] = field(default_factory=list)
    """Those of all jobs, each line once."""
    argv: list[str] = field(default_factory=list)
    """The command line for Hydra: `~/` in values replaced by the home folder, which Hydra cannot read."""
    resume: Path | None = None
    """Folder of the run that the one job continues."""
    rerun: bool = False
    """The one job starts anew from a stored configuration."""


def compose_jobs(argv: list[str]) -> list[Job]:
    """The distinct, checked jobs of a command line. Raises ConfigError."""
    return plan(argv).jobs


def plan(argv: list[str]) -> Plan:
    """Parse, compose and check everything a command line asks for. Raises ConfigError; starts and writes nothing."""
    arguments = parse_arguments(argv)
    if arguments.opaque:
        return Plan([], show=True, argv=arguments.argv)
    launch = arguments.launch
    with _one_line():
        loader = _loader(arguments.config_dir)
        checker = OverrideChecker(loader)
        overrides = checker.parse(arguments.overrides)
        for override in overrides:
            checker.check(override)
        if launch.resume is not None or launch.rerun is not None:
            return _stored_plan(loader, checker, overrides, launch, arguments)
        if arguments.show:
            checker.refuse_sweep(overrides)
            _check_shown(loader, arguments)
            return Plan([], show=True, argv=arguments.argv)
        # Read as a sweep where it may be one: by option, by several values, or by hydra.mode in a YAML file.
        several = any(override.is_sweep_override() for override in overrides)
        mode = RunMode.MULTIRUN if arguments.multirun or several else RunMode.RUN
        composed = _compose(loader, arguments.overrides, mode)
        if not arguments.multirun and composed.hydra.mode != RunMode.MULTIRUN:
            checker.refuse_sweep(overrides)
            str(composed.hydra.run.dir)  # raises for a wrong interpolation
            job = job_from_composed(composed, _task_overrides(overrides), written_keys(overrides))
            return Plan([job], warnings=job.warnings, argv=arguments.argv)
        jobs, warnings = _distinct(list(_sweep(loader, checker, composed)))
        lines = warnings + [line for job in jobs for line in job.warnings]
        return Plan(jobs, multirun=True, warnings=list(dict.fromkeys(lines)), argv=arguments.argv)


def _stored_plan(
    loader: ConfigLoaderImpl,
    checker: OverrideChecker,
    overrides: list[Override],
    launch: LaunchConfig,
    arguments: Arguments,
) -> Plan:
    """The plan of resume=RUN or rerun=RUN."""
    key, folder = ("resume", launch.resume) if launch.resume is not None else ("rerun", launch.rerun)
    assert folder is not None
    if arguments.multirun or arguments.show:
        raise ConfigError(f"{key}: continues or repeats one run; it cannot stand beside -m, --cfg and the like")
    checker.refuse_sweep(overrides)
    stored = stored_config(key, folder)
    texts = _task_overrides(overrides)
    groups = [text for text in texts if text.partition("=")[0].lstrip("+~") in checker.groups]
    if key == "rerun":
        refuse_groups(texts, checker.groups)
    if groups:
        # The command that started the run, given again: it has to lead to the same settings.
        job = job_from_composed(_compose(loader, arguments.overrides, RunMode.RUN), texts, written_keys(overrides))
    else:
        values = {str(o.key_or_group): o.value() for o in overrides if not o.is_hydra_override()}
        job = job_from_composed(OmegaConf.create(with_overrides(stored, values)), texts, written_keys(overrides))
    if key == "resume":
        refuse_differences(folder, stored, job.effective)
        return Plan([job], warnings=job.warnings, resume=Path(folder).expanduser())
    return Plan([job], warnings=job.warnings, rerun=True)


def job_from_composed(composed: DictConfig, overrides: Collection[str] = (), written: Collection[str] = ()) -> Job:
    """The checked job of a composed configuration, with or without its hydra node. Raises ConfigError.

    written: keys the user wrote; unused ones among them are warned about.
    """
    config, preset_start = _typed(composed)
    check_ranges(config)
    config, warnings = effective(config, preset_start, written)
    warnings += validate(config)
    values = plain(config)
    return Job(list(overrides), config, values, run_id(values), warnings)


def composed_config(overrides: Collection[str] = ()) -> RunConfig:
    """What these overrides compose to: typed and resolved, but neither checked nor effective. Raises ConfigError."""
    with _one_line():
        return _typed(_compose(_loader(None), list(overrides), RunMode.RUN))[0]


def _typed(composed: DictConfig) -> tuple[RunConfig, bool]:
    """The typed configuration, and whether its start margin is a preset's (still an interpolation)."""
    own = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    schedule = OmegaConf.to_container(own, resolve=False).get("margin_schedule")  # type: ignore[union-attr]
    start = schedule.get("initial_margin") if isinstance(schedule, dict) else None
    try:
        resolved = cast(dict[str, Any], OmegaConf.to_container(own, resolve=True))
    except OmegaConfBaseException as error:
        raise ConfigError(_first_line(error)) from None
    return typed(resolved), isinstance(start, str) and "${cil.preset:" in start


def _sweep(loader: ConfigLoaderImpl, checker: OverrideChecker, master: DictConfig) -> Iterator[Job]:
    """Every job of the grid, composed as Hydra's launchers do."""
    params = [f"{key}={value}" for key, value in (master.hydra.sweeper.get("params") or {}).items()]
    given = cast(dict[str, list[str]], OmegaConf.to_container(master.hydra.overrides, resolve=False))
    overrides = checker.parse([*params, *given["task"]])
    if not str(master.hydra.sweeper.get("_target_")).endswith(".BasicSweeper"):
        # Another sweeper chooses the values itself, while the sweep runs: check everything but those.
        overrides = [override for override in overrides if not override.is_sweep_override()]
    grid = [(texts, checker.parse(texts)) for texts in checker.expand(overrides)]
    for _, parsed in grid:
        for override in parsed:
            checker.check(override)
    for texts, parsed in grid:
        composed = _compose(loader, [*given["hydra"], *texts], RunMode.RUN)
        OmegaConf.copy_cache(from_config=master, to_config=composed)
        job = job_from_composed(composed, texts, written_keys(parsed))
        yield replace(job, folder=_sweep_folder(composed, job.run_id))


def _sweep_folder(composed: DictConfig, identity: str) -> Path | None:
    sweep = composed.hydra.sweep
    try:
        own = OmegaConf.to_container(sweep, resolve=False)["subdir"] == "${cil.run_id:}"  # type: ignore[index, call-overload]
        return Path(str(sweep.dir)) / (identity if own else str(sweep.subdir))
    except OmegaConfBaseException:  # hydra.job.num and the like are known only when the job starts
        return None


def _distinct(jobs: list[Job]) -> tuple[list[Job], list[str]]:
    """Each job once; the copies are noted in the first. Raises ConfigError where only the data's place differs."""
    first: dict[tuple[str, str], Job] = {}
    warnings = []
    for job in jobs:
        earlier = first.setdefault((job.config.name, job.run_id), job)
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
    return list(first.values()), warnings


_IDLE_KEYS = {key for key in NOT_IN_IDENTITY if key != "name"}


def _check_shown(loader: ConfigLoaderImpl, arguments: Arguments) -> None:
    """Compose and check types for --cfg and --help; the data need not be there."""
    composed = _compose(loader, arguments.overrides, RunMode.RUN)
    _typed(composed)
    package = arguments.package
    if package not in (None, "_global_") and OmegaConf.select(composed, str(package)) is None:
        raise ConfigError(f"--package: {package} is not in the configuration")


def _compose(loader: ConfigLoaderImpl, overrides: list[str], mode: RunMode) -> DictConfig:
    """What Hydra composes. Raises ConfigError for whatever it raises, broken YAML files included."""
    try:
        return loader.load_configuration("config", list(overrides), mode, from_shell=False)
    except MissingConfigException as error:
        options = f"; valid: {', '.join(sorted(error.options))}" if error.options else ""
        raise ConfigError(f"{_first_line(error)}{options}") from None
    except Exception as error:  # Hydra raises ValueError, TypeError and YAML's own errors too
        raise ConfigError(_first_line(error)) from None


def _task_overrides(overrides: list[Override]) -> list[str]:
    return [str(override.input_line) for override in overrides if not override.is_hydra_override()]


def _loader(extra: str | None) -> ConfigLoaderImpl:
    """Hydra's loader for conf/ and the folder of --config-dir."""
    version.setbase(VERSION_BASE)
    setup_globals()
    register()
    JobRuntime().set("name", "train")
    search_path = create_config_search_path(str(config_dir()))
    if extra is not None:
        folder = f"file://{Path(extra).absolute()}"
        search_path.prepend(provider="command-line", path=folder, anchor=SearchPathQuery(provider="schema"))
    return ConfigLoaderImpl(search_path)


@contextmanager
def _one_line() -> Iterator[None]:
    """What Hydra and OmegaConf raise, as a ConfigError of one line."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_first_line(error)) from None


def _first_line(error: BaseException) -> str:
    """First line of the message, or of what caused it; with the key, where OmegaConf names one."""
    text = str(error).strip() or str(error.__cause__ or "").strip() or type(error).__name__
    key = getattr(error, "full_key", None) or getattr(error.__cause__, "full_key", None)
    # YAML errors say where they are only in their later lines.
    line = " ".join(text.split()) if hasattr(error, "problem_mark") else text.splitlines()[0]
    return f"{key}: {line}" if key and key not in line else line
