"""The command line: which of Hydra's options were given, and the overrides."""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from cil import __version__
from cil.config.launch import LaunchConfig, split_launch
from cil.errors import ConfigError
from cil.planning.hydra_adapter import get_args_parser
from cil.planning.overrides import OPTIONAL_GROUPS


@dataclass(frozen=True)
class Arguments:
    """What preflight needs of the command line."""

    argv: list[str]
    """Everything, as Hydra shall see it."""
    overrides: list[str]
    multirun: bool
    show: bool
    """Hydra only prints something (--help, --cfg, ...): compose, but look at no data."""
    opaque: bool
    """Hydra prints something that does not depend on the overrides: leave them alone."""
    cfg: str | None
    """What --cfg shall print: job, hydra or all."""
    config_dir: str | None
    package: str | None
    launch: LaunchConfig = field(default_factory=LaunchConfig)


def parse_arguments(argv: list[str]) -> Arguments:
    """Parse what follows `python -m cil.train`. Raises ConfigError; `--version` prints and exits."""
    argv = [_expand_home(text) for text in argv]
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]
    for action in parser._actions:
        if action.dest == "version":
            action.version = f"cil {__version__}"  # type: ignore[attr-defined]
    options = parser.parse_args(argv)
    _check_combination(options)
    if options.experimental_rerun is not None:
        raise ConfigError("--experimental-rerun: refused, it executes what the file contains")
    for name in ("config_path", "config_name"):
        if getattr(options, name) is not None:
            option = "--" + name.replace("_", "-")
            raise ConfigError(f"{option}: not supported; --config-dir DIR adds a folder with YAML files of your own")
    if options.config_dir is not None and not Path(options.config_dir).is_dir():
        raise ConfigError(f"--config-dir: {options.config_dir} is not a folder")
    opaque = bool(options.hydra_help or options.shell_completion)
    show = bool(opaque or options.help or options.cfg is not None or options.info is not None)
    package = options.package if options.cfg else None
    _refuse_repeats(options.overrides)
    if options.help and not options.resolve:
        argv = [*argv, "--resolve"]  # ${cil.preset:...} tells nobody which value a run would get
    launch = split_launch(options.overrides)
    argv = [text for text in argv if text not in options.overrides or text in launch.overrides]
    return Arguments(
        argv,
        launch.overrides,
        options.multirun,
        show,
        opaque,
        options.cfg,
        options.config_dir,
        package,
        launch.options,
    )


def _expand_home(text: str) -> str:
    """KEY=~/folder with the home folder written out; Hydra's grammar has no place for the sign."""
    key, equals, value = text.partition("=")
    if key.startswith("-") or not (value == "~" or value.startswith("~/")):
        return text
    return f"{key}{equals}{Path(value).expanduser()}"


def _refuse_repeats(overrides: list[str]) -> None:
    """Raises ConfigError for a key that is given twice: Hydra would silently take the last value."""
    given: dict[str, str] = {}
    for text in overrides:
        key = text.partition("=")[0].lstrip("+~")
        if key in given:
            several = f" (one on top of the other is {key}=[A,B])" if key in OPTIONAL_GROUPS else ""
            raise ConfigError(f"{key}: is given twice, {given[key]} and {text}; leave one of them out{several}")
        given[key] = text


def _check_combination(options: argparse.Namespace) -> None:
    """The checks Hydra answers with a traceback."""
    if options.help or options.hydra_help:
        return
    chosen = [name for name in ("run", "multirun", "shell_completion") if getattr(options, name)]
    chosen += [name for name in ("cfg", "info") if getattr(options, name) is not None]
    if len(chosen) > 1:
        shown = " and ".join("--" + name.replace("_", "-") for name in chosen)
        raise ConfigError(f"{shown}: only one of them can be given")
    if options.resolve and options.cfg is None:
        raise ConfigError("--resolve: works only together with --cfg")


def _refuse(message: str) -> NoReturn:
    if "unrecognized arguments" in message and "=" in message:
        message += " (options such as -m stand before or after all KEY=VALUE, not between them)"
    raise ConfigError(f"command line: {message}; --help shows what is valid")
