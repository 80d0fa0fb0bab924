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


def check_can_be_made(folder: Path, advice: str) -> None:
    """Raises ConfigError where a folder is not there and cannot be made. advice: how another one is chosen."""
    place = there = Path(os.path.normpath(folder.absolute()))  # `new/../x` needs no `new`
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise ConfigError(f"{folder}: cannot be made, {there} is no folder; {advice}")
    if there != place and not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"{folder}: cannot be made, {there} cannot be written to; {advice}")
