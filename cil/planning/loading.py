"""Hydra's loader over conf/: what Hydra composes from overrides, with errors of one line."""

import re
import warnings
from pathlib import Path

from hydra import version
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.utils import JobRuntime, setup_globals
from hydra.errors import MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig

from cil.config.locations import config_dir
from cil.errors import ConfigError
from cil.planning.hydra_adapter import ConfigLoader, create_config_search_path
from cil.planning.messages import first_line
from cil.planning.plugins import OWN_OPTIONS, install_command
from cil.planning.resolvers import register

# conf/hydra/launcher has options of the plugins' own names, on purpose: they are ready to use, and checked by them.
warnings.filterwarnings("ignore", r"\s*'hydra/(launcher|sweeper)/\w+' is validated against ConfigStore schema")

VERSION_BASE = "1.3"
"""Behaviour of Hydra that conf/ is written for."""


def make_loader(extra: str | None) -> ConfigLoader:
    """Hydra's loader for conf/ and the folder of --config-dir."""
    version.setbase(VERSION_BASE)
    setup_globals()
    register()
    JobRuntime().set("name", "train")
    search_path = create_config_search_path(str(config_dir()))
    if extra is not None:
        folder = f"file://{Path(extra).absolute()}"
        search_path.prepend(provider="command-line", path=folder, anchor=SearchPathQuery(provider="schema"))
    return ConfigLoader(search_path)


def compose_with(loader: ConfigLoader, overrides: list[str], mode: RunMode) -> DictConfig:
    """What Hydra composes. Raises ConfigError for whatever it raises, broken YAML files included."""
    try:
        return loader.load_configuration("config", list(overrides), mode, from_shell=False)
    except MissingConfigException as error:
        missing = str(error.missing_cfg_file)
        if missing in OWN_OPTIONS:
            raise ConfigError(f"{missing}: is not installed; {install_command(OWN_OPTIONS[missing])}") from None
        options = f"; valid: {', '.join(sorted(error.options))}" if error.options else ""
        raise ConfigError(f"{first_line(error)}{options}") from None
    except Exception as error:  # Hydra raises ValueError, TypeError and YAML's own errors too
        line = first_line(error)
        other = re.match(r"Could not override '(method\.\w+)'", line)
        if other is not None:
            raise ConfigError(f"{other[1]}: is a key of another method; the chosen one has no such key") from None
        raise ConfigError(line) from None
