"""Where conf/ lies, whether a run's folder can be made, and which runs lie below another one."""

import os
from pathlib import Path

from cil.errors import ConfigError


def config_dir() -> Path:
    """The folder of the YAML files: cil/conf in an installed wheel, otherwise conf/ beside the package."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise FileNotFoundError(f"no configuration files in {package / 'conf'} or {package.parent / 'conf'}")


def check_can_be_made(folder: Path, advice: str) -> None:
    """Raises ConfigError where a folder is not there and cannot be made. advice: how another one is chosen."""
    place = there = Path(os.path.normpath(folder.absolute()))  # `new/../x` needs no `new`
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise ConfigError(f"{folder}: cannot be made, {there} is no folder; {advice}")
    if there != place and not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"{folder}: cannot be made, {there} cannot be written to; {advice}")


def hint_of_runs(folder: Path) -> str:
    """For the message that a folder holds no run: those right below it, if there are some."""
    below = sorted(found.parent for found in folder.glob("*/config.yaml"))
    return f"; runs below it: {below[0]} and {len(below) - 1} more" if below else ""
