"""Everything taken from `hydra._internal`, which Hydra may change in any release: nothing else imports from there."""

import copy
from collections.abc import Sequence

from hydra._internal.callbacks import Callbacks as Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import create_config_search_path as create_config_search_path
from hydra._internal.utils import get_args_parser as get_args_parser
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.types import Override
from hydra.plugins.config_source import ConfigResult

__all__ = ["Callbacks", "ConfigLoader", "create_config_search_path", "get_args_parser", "grid_points"]


class ConfigLoader(ConfigLoaderImpl):
    """Hydra's loader, over a repository that reads each file once and is cheap to copy."""

    def __init__(self, search_path: ConfigSearchPath) -> None:
        super().__init__(search_path)
        self.repository = _Repository(search_path)


class _Repository(ConfigRepository):
    """Remembers what it read, and copies share it, and their sources.

    Hydra copies the repository for each composition and reads every file anew, which took a third of planning.
    """

    def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
        super().initialize_sources(config_search_path)
        self._read: dict[str, ConfigResult | None] = {}

    def load_config(self, config_path: str) -> ConfigResult | None:
        if config_path not in self._read:
            self._read[config_path] = super().load_config(config_path)
        return copy.deepcopy(self._read[config_path])  # who gets it merges into it

    def __deepcopy__(self, memo: dict[int, object]) -> "_Repository":
        return copy.copy(self)


def grid_points(overrides: Sequence[Override]) -> list[list[str]]:
    """The override texts of every job of a sweep, in the order Hydra's basic sweeper runs them.

    Raises HydraException for values that cannot be swept.
    """
    batches = BasicSweeper.split_arguments(list(overrides), max_batch_size=None)
    return [job for batch in batches for job in batch]
