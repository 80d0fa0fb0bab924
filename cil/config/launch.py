"""Keys that say what to do with a configuration instead of being part of one: they never reach Hydra."""

from dataclasses import dataclass, field, fields

from cil.errors import ConfigError


@dataclass(frozen=True)
class LaunchConfig:
    """What to do. Read from the command line before anything is composed; not stored with a run."""

    resume: str | None = None
    """Folder of a run to continue at the very next step. Overrides may change only what alters no result."""
    rerun: str | None = None
    """Folder of a run whose stored configuration starts a new run; key overrides only."""


@dataclass
class Launch:
    """A command line's launch keys, and the overrides that are left."""

    options: LaunchConfig
    overrides: list[str] = field(default_factory=list)


def split_launch(overrides: list[str]) -> Launch:
    """Take the launch keys out of the overrides. Raises ConfigError."""
    names = {f.name for f in fields(LaunchConfig)}
    values: dict[str, str | None] = {}
    rest = []
    for text in overrides:
        key, _, value = text.partition("=")
        if key not in names:
            rest.append(text)
            continue
        values[key] = None if value in ("null", "") else value
    options = LaunchConfig(**values)
    if options.resume is not None and options.rerun is not None:
        raise ConfigError("resume, rerun: only one of them; resume continues a run, rerun starts a new one from it")
    return Launch(options, rest)
