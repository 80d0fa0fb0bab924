"""Everything taken from `hydra._internal`, which Hydra may change in any release: nothing else imports from there."""

from collections.abc import Sequence

from hydra._internal.callbacks import Callbacks as Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl as ConfigLoader
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import create_config_search_path as create_config_search_path
from hydra._internal.utils import get_args_parser as get_args_parser
from hydra.core.override_parser.types import Override

__all__ = ["Callbacks", "ConfigLoader", "create_config_search_path", "get_args_parser", "grid_points"]


def grid_points(overrides: Sequence[Override]) -> list[list[str]]:
    """The override texts of every job of a sweep, in the order Hydra's basic sweeper runs them.

    Raises HydraException for values that cannot be swept.
    """
    batches = BasicSweeper.split_arguments(list(overrides), max_batch_size=None)
    return [job for batch in batches for job in batch]
