"""Keys that say what to do with a configuration instead of being part of one: they never reach Hydra."""

from dataclasses import dataclass, field, fields
from typing import Any

from cil.errors import ConfigError


@dataclass(frozen=True)
class LaunchConfig:
    """What to do with the configuration. Read from the command line alone, not stored with a run."""

    resume: str | None = None
    """Folder of a run to continue at the very next step. Overrides may change only what alters no result."""
    rerun: str | None = None
    """Folder of a run whose stored configuration starts a new run; key overrides only."""
    dry_run: bool = False
    """Show the jobs, which of them are done, and an estimate of the hours left; start and create nothing."""
    probe: bool | None = None
    """true: say which loss settings change loss and gradient, train nothing. null: a sweep looks at what it sweeps."""
    from_task: int | None = None
    """With rerun: start from the state after this task of RUN, which a run with `checkpoint.keep_tasks=true` keeps."""


@dataclass
class Launch:
    """A command line's launch keys, and the overrides that are left."""

    options: LaunchConfig
    overrides: list[str] = field(default_factory=list)


LAUNCH_KEYS = tuple(f.name for f in fields(LaunchConfig))
"""Names of the launch keys."""

_FOLDERS = ("resume", "rerun")


def split_launch(overrides: list[str]) -> Launch:
    """Take the launch keys out of the overrides. Raises ConfigError."""
    values: dict[str, Any] = {}
    rest = []
    for text in overrides:
        key, equals, value = text.partition("=")
        if key.lstrip("+~") in LAUNCH_KEYS and (key[0] in "+~" or not equals):
            name = key.lstrip("+~")
            raise ConfigError(f"{text}: write {name}=VALUE, nothing before the key")
        if key not in LAUNCH_KEYS:
            rest.append(text)
        elif key in _FOLDERS:
            if not value.strip("'\""):
                # A script's unset variable must not start a run of twenty hours from the beginning.
                raise ConfigError(f"{key}: is empty; expected a run's folder, or null for none")
            values[key] = None if value == "null" else value
        elif key == "from_task":
            values[key] = _task(value)
        else:
            values[key] = _switch(key, value)
    options = LaunchConfig(**values)
    if options.resume is not None and options.rerun is not None:
        raise ConfigError("resume, rerun: only one of them; resume continues a run, rerun starts a new one from it")
    if options.from_task is not None and options.rerun is None:
        raise ConfigError("from_task: needs rerun=RUN beside it, the run whose state after that task is taken")
    if options.dry_run and options.probe:
        raise ConfigError("dry_run, probe: only one of them; dry_run shows the jobs, probe their loss settings")
    return Launch(options, rest)


def _task(value: str) -> int | None:
    if value == "null":
        return None
    if not value.isascii() or not value.isdecimal() or int(value) < 1:
        raise ConfigError(f"from_task: {value!r} is not valid; expected the number of a task, 1 or greater")
    return int(value)


def _switch(key: str, value: str) -> bool | None:
    choices: dict[str, bool | None] = {"true": True, "false": False}
    if key == "probe":
        choices["null"] = None
    if value.lower() not in choices:
        raise ConfigError(f"{key}: {value!r} is not valid; expected {' or '.join(choices)}")
    return choices[value.lower()]
