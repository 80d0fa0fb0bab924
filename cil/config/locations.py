"""Where conf/ lies."""

from pathlib import Path


def config_dir() -> Path:
    """The folder of the YAML files: cil/conf in an installed wheel, otherwise conf/ beside the package."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise FileNotFoundError(f"no configuration files in {package / 'conf'} or {package.parent / 'conf'}")
