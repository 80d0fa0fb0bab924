"""Where conf/ lies, and whether a run's folder can be made."""

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


def check_place(folder: Path, advice: str) -> None:
    """Whether a folder is there or can be made. Raises ConfigError. advice: how another one is chosen."""
    there = folder.absolute()
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise ConfigError(f"{folder}: cannot be made, {there} is no folder; {advice}")
    if there != folder.absolute() and not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"{folder}: cannot be made, {there} cannot be written to; {advice}")
