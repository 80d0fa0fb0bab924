"""Preflight: from a command line to the checked jobs, before anything is started or written.

`plan` composes what Hydra will compose, so that a mistake in the last job of a sweep stops the first one.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from cil.config.effective import effective
from cil.config.launch import LaunchConfig
from cil.config.schema import RunConfig
from cil.config.typed import plain
from cil.errors import ConfigError
from cil.planning.arguments import Arguments, parse_arguments
from cil.planning.grid import Grid, check_experiments, distinct, grid_jobs, is_grid
from cil.planning.hydra_adapter import ConfigLoader
from cil.planning.jobs import Job as Job
from cil.planning.jobs import job_from_composed as job_from_composed
from cil.planning.jobs import typed_config
from cil.planning.loading import VERSION_BASE as VERSION_BASE
from cil.planning.loading import compose_with, make_loader
from cil.planning.messages import one_line
from cil.planning.named import named_values
from cil.planning.overrides import OverrideChecker, written_keys
from cil.planning.plugins import check_direction, check_plugins
from cil.planning.rerun import Rerun, single_rerun, swept_reruns
from cil.planning.stored import refuse_differences, stored_config, with_overrides


@dataclass(frozen=True)
class Plan:
    """What a command line asks for."""

    jobs: list[Job]
    """Every job once; empty where Hydra only prints something."""
    show: bool = False
    """Hydra only prints something (--help, --cfg, --info, ...)."""
    text: str | None = None
    """What to print in Hydra's place."""
    multirun: bool = False
    warnings: list[str] = field(default_factory=list)
    """Those of all jobs, each line once."""
    notes: list[str] = field(default_factory=list)
    """Of a sweep: which jobs are one run because they train alike."""
    argv: list[str] = field(default_factory=list)
    """The command line for Hydra: `~/` in values replaced by the home folder, which Hydra cannot read."""
    place: Path | None = None
    """Of a single run: where it will be, but for the time in the name."""
    resume: Path | None = None
    """Folder of the run that the one job continues."""
    rerun: Path | None = None
    """Folder of the run from whose stored configuration the jobs start anew."""
    grid: bool = False
    """A sweep whose jobs are all known beforehand: no sweeper chooses values while it runs."""
    launch: LaunchConfig = field(default_factory=LaunchConfig)
    """What else to do with the jobs."""
    config_dir: str | None = None
    """The folder of --config-dir."""
    hydra_overrides: list[str] = field(default_factory=list)
    """The overrides that Hydra itself reads (hydra.*)."""
    composed: DictConfig | None = None
    """Of a sweep: what Hydra composed. Its cache holds what ${now:...} stands for, once for the whole command."""


def compose_jobs(argv: list[str]) -> list[Job]:
    """The distinct, checked jobs of a command line. Raises ConfigError."""
    return plan(argv).jobs


def plan(argv: list[str], look_for_data: bool = True) -> Plan:
    """Parse, compose and check everything a command line asks for. Raises ConfigError; starts and writes nothing.

    look_for_data: false where a single run is composed whose images need not be there.
    """
    arguments = parse_arguments(argv)
    if arguments.opaque:
        return Plan([], show=True, argv=arguments.argv)
    launch = arguments.launch
    with one_line():
        loader = make_loader(arguments.config_dir)
        checker = OverrideChecker(loader)
        overrides = checker.parse(arguments.overrides)
        for override in overrides:
            checker.check(override)
        if launch.resume is not None or launch.rerun is not None:
            return _stored_plan(loader, checker, overrides, launch, arguments)
        if arguments.show:
            checker.refuse_sweep(overrides)
            return Plan([], show=True, argv=arguments.argv, text=_shown(loader, arguments))
        # Read as a sweep where it may be one: by option, by several values, or by hydra.mode in a YAML file.
        several = any(override.is_sweep_override() for override in overrides)
        mode = RunMode.MULTIRUN if arguments.multirun or several else RunMode.RUN
        composed = compose_with(loader, arguments.overrides, mode)
        check_plugins(composed)
        if arguments.multirun or composed.hydra.mode == RunMode.MULTIRUN:
            return _sweep_plan(loader, checker, composed, arguments)
        checker.refuse_sweep(overrides)
        check_experiments(loader, overrides)
        place = Path(str(composed.hydra.run.dir))  # raises for a wrong interpolation
        job = job_from_composed(composed, _task_overrides(overrides), written_keys(overrides), look_for_data)
        return Plan([job], warnings=job.warnings, argv=arguments.argv, launch=launch, place=place)


def _sweep_plan(loader: ConfigLoader, checker: OverrideChecker, composed: DictConfig, arguments: Arguments) -> Plan:
    check_direction(composed)
    known = is_grid(composed)
    grid = distinct(list(grid_jobs(loader, checker, composed)), merge=known)
    return Plan(
        grid.jobs,
        multirun=True,
        warnings=_warnings(grid),
        notes=grid.notes,
        argv=arguments.argv,
        grid=known,
        place=None if known else Path(str(composed.hydra.sweep.dir)),  # its trials name their own folders
        launch=arguments.launch,
        config_dir=arguments.config_dir,
        hydra_overrides=cast(list[str], OmegaConf.to_container(composed.hydra.overrides.hydra, resolve=False)),
        composed=composed,
    )


def _warnings(grid: Grid) -> list[str]:
    return list(dict.fromkeys([*grid.warnings, *(line for job in grid.jobs for line in job.warnings)]))


def _stored_plan(
    loader: ConfigLoader,
    checker: OverrideChecker,
    overrides: list[Override],
    launch: LaunchConfig,
    arguments: Arguments,
) -> Plan:
    """The plan of resume=RUN or rerun=RUN."""
    key, folder = ("resume", launch.resume) if launch.resume is not None else ("rerun", launch.rerun)
    assert folder is not None
    path = Path(folder).expanduser()
    if arguments.show or (arguments.multirun and key == "resume"):
        raise ConfigError(f"{key}: continues or repeats one run; it cannot stand beside -m, --cfg and the like")
    place = None if arguments.multirun else _place_beside(key, overrides)
    if key == "resume":
        job = _resumed(loader, checker, overrides, folder, arguments)
        return Plan([job], warnings=job.warnings, resume=path, launch=launch)
    source, own = Rerun(path, launch.from_task), [o for o in overrides if not o.is_hydra_override()]
    if not arguments.multirun:
        job = single_rerun(source, own, checker)
        return Plan([job], warnings=job.warnings, rerun=path, launch=launch, place=place)
    hydra = [str(o.input_line) for o in overrides if o.is_hydra_override()]
    grid, master = swept_reruns(source, own, hydra, loader, checker)
    task = [] if launch.from_task is None else [f"from_task={launch.from_task}"]
    return Plan(
        grid.jobs,
        multirun=True,
        warnings=_warnings(grid),
        notes=grid.notes,
        argv=[*arguments.argv, f"rerun={folder}", *task],
        rerun=path,
        grid=True,
        launch=launch,
        config_dir=arguments.config_dir,
        hydra_overrides=hydra,
        composed=master,
    )


def _place_beside(key: str, overrides: list[Override]) -> Path | None:
    """The folder that hydra.run.dir names for the new run of rerun=RUN.

    Raises ConfigError for any other setting of Hydra's beside resume or rerun, which start without it.
    """
    place = None
    for override in overrides:
        if not override.is_hydra_override():
            continue
        text = _as_text(override) if (key, override.key_or_group) == ("rerun", "hydra.run.dir") else ""
        if not text or "$" in text:
            valid = "hydra.run.dir=DIR, a plain path" if key == "rerun" else "leave it out, the run goes on where it is"
            raise ConfigError(f"{override.key_or_group}: has no effect beside {key}; valid: {valid}")
        place = Path(text)
    return place


def _as_text(override: Override) -> str:
    """The value as it was written, where it is a single one; otherwise nothing."""
    value = override.value()
    if override.is_delete() or override.is_sweep_override() or value is None or isinstance(value, list | dict):
        return ""
    return value if isinstance(value, str) else str(override.input_line).partition("=")[2]


def _resumed(
    loader: ConfigLoader, checker: OverrideChecker, overrides: list[Override], folder: str, arguments: Arguments
) -> Job:
    """The run that resume=RUN goes on with. Raises ConfigError where settings would change its results."""
    checker.refuse_sweep(overrides)
    stored = stored_config("resume", folder)
    written = written_keys(overrides)
    if written & set(checker.groups):
        composed = compose_with(loader, arguments.overrides, RunMode.RUN)
        values = named_values(loader, composed, [o for o in overrides if not o.is_hydra_override()])
    else:
        values = {str(o.key_or_group): o.value() for o in overrides if not o.is_hydra_override()}
    config = OmegaConf.create(with_overrides(stored, values))
    # First of all: whether changed settings are possible here is another question.
    refuse_differences(folder, stored, plain(effective(*typed_config(config))[0]))
    return job_from_composed(config, _task_overrides(overrides), written)


def composed_config(overrides: Collection[str] = ()) -> RunConfig:
    """What these overrides compose to: typed and resolved, but neither checked nor effective. Raises ConfigError."""
    with one_line():
        return typed_config(compose_with(make_loader(None), list(overrides), RunMode.RUN))[0]


def _shown(loader: ConfigLoader, arguments: Arguments) -> str | None:
    """Compose and check types for --cfg and --help; the data need not be there. The text of --cfg job, with values.

    Hydra itself would print ${cil.published:...}, and with --resolve it fails on a list that comes from there.
    """
    composed = compose_with(loader, arguments.overrides, RunMode.RUN)
    typed_config(composed)
    package = None if arguments.package == "_global_" else arguments.package
    if package is not None and OmegaConf.select(composed, package) is None:
        raise ConfigError(f"--package: {package} is not in the configuration")
    if arguments.cfg != "job":
        return None
    own = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    part = own if package is None else OmegaConf.select(own, package)
    if not OmegaConf.is_config(part):
        return f"{part}\n"
    return f"# @package {package}\n" * (package is not None) + OmegaConf.to_yaml(part, resolve=True)


def _task_overrides(overrides: list[Override]) -> list[str]:
    return [str(override.input_line) for override in overrides if not override.is_hydra_override()]
