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


def check_place(key: str, folder: Path) -> None:
    """Whether a run's folder can be made, or is there. Raises ConfigError naming `key`, which chooses another place."""
    there = folder.absolute()
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise ConfigError(f"{key}: {folder} cannot be made, {there} is a file; move it, or choose another {key}")
    if there != folder.absolute() and not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"{key}: {folder} cannot be made, {there} is not writable; choose another {key}")
