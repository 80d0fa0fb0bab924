"""Overrides of the command line: parsed, expanded to the jobs of a sweep, and checked one by one."""

from typing import Any

from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from cil.config.names import key_types, unknown_key, unknown_option
from cil.errors import ConfigError
from cil.planning.hydra_adapter import ConfigLoader, grid_points


class OverrideChecker:
    """Knows conf/ and the schema; says in one line what is wrong with an override."""

    def __init__(self, loader: ConfigLoader) -> None:
        self._loader = loader
        self._parser = OverridesParser.create(config_loader=loader)
        self._searchpath: list[str] = []
        self._options: dict[str, set[str]] = {}
        self.groups = [group for group in loader.list_groups("") if group not in NOT_GROUPS]
        self._hydra_groups = loader.list_groups("hydra")

    def parse(self, texts: list[str]) -> list[Override]:
        """Parsed overrides. Raises ConfigError for bad syntax."""
        self._searchpath += [text for text in texts if text.startswith("hydra.searchpath=")]
        parsed = []
        for text in texts:
            if not text.startswith("~") and "=" not in text:
                raise ConfigError(f"{text}: is not of the form KEY=VALUE")
            key, _, value = text.partition("=")
            if key.startswith("hydra/") and "." in key:
                raise ConfigError(f"{text}: write {key.replace('/', '.')}={value}")
            try:
                parsed += self._parser.parse_overrides([text])
            except HydraException as error:
                reason = str(error).splitlines()[0]
                raise ConfigError(f"{text}: bad syntax ({reason}); odd values need quotes: KEY='\"...\"'") from None
        return parsed

    def expand(self, overrides: list[Override]) -> list[list[str]]:
        """The override texts of every job of a sweep, in the order Hydra runs them."""
        try:
            return grid_points(overrides)
        except HydraException as error:
            raise ConfigError(f"sweep: {str(error).splitlines()[0]}") from None

    def refuse_sweep(self, overrides: list[Override]) -> None:
        """Raises ConfigError for several values outside a sweep."""
        for override in overrides:
            if override.is_sweep_override():
                raise ConfigError(
                    f"{override.input_line}: several values are a sweep, which needs -m; a list is written KEY=[A,B], "
                    "a text with a comma KEY='\"A, B\"'"
                )

    def check(self, override: Override) -> None:
        """Raises ConfigError for an unknown key or option. What Hydra itself reads (hydra.*) is left to Hydra."""
        key = str(override.key_or_group)
        if override.is_hydra_override():
            if key == "hydra.verbose" and override.value() is not False:
                raise ConfigError(
                    "hydra.verbose: there are no debug messages to show; what a run logs is in its train.log"
                )
            self._check_hydra_group(key, override)
            return
        if key in self.groups:
            self._check_option(key, override)
        elif key not in key_types():
            raise unknown_key(key, self.groups)
        elif key.startswith("branch."):
            raise ConfigError(f"{key}: is not set by hand; rerun=RUN from_task=k starts a branch of RUN")
        elif override.is_delete():
            raise ConfigError(f"{key}: cannot be deleted; write {key}=null to switch it off, where null is allowed")
        elif override.is_add() and not override.is_force_add():
            raise ConfigError(f"{key}: exists already; write {key}=VALUE without the '+'")

    def _check_hydra_group(self, key: str, override: Override) -> None:
        """Raises ConfigError for hydra.GROUP=OPTION: Hydra would put the option's name where its keys belong."""
        group = key.removeprefix("hydra.")
        written = str(override.input_line).partition("=")[2]
        if key.startswith("hydra.") and group in self._hydra_groups and not written.startswith("{"):
            raise ConfigError(f"{override.input_line}: write hydra/{group}={written}")

    def _options_of(self, group: str) -> set[str]:
        """Options of a group, those of hydra.searchpath included. Asking Hydra takes 10 ms: asked once."""
        if group not in self._options:
            found = self._loader.get_group_options(group, ObjectType.CONFIG, "config", self._searchpath)
            self._options[group] = set(found)
        return self._options[group]

    def _check_option(self, group: str, override: Override) -> None:
        valid = self._options_of(group)
        if override.package is not None:
            raise ConfigError(f"{group}@{override.package}: a group has its fixed place; write {group}=OPTION")
        if override.is_delete():
            if group not in OPTIONAL_GROUPS:
                raise ConfigError(
                    f"{group}: cannot be deleted; write {group}=OPTION, valid: {', '.join(sorted(valid))}"
                )
            return
        if override.is_add():
            raise ConfigError(f"{group}: write {group}=OPTION without the '+'")
        if override.is_sweep_override():
            return
        value: Any = override.value()
        several = value if isinstance(value, list) and group in OPTIONAL_GROUPS else [value]
        for option in several:
            name = "null" if option is None else str(option)
            if option is None or ("/" not in name and name not in valid):
                raise unknown_option(group, name, valid)


NOT_GROUPS = ("hydra", "expect")
"""Folders of conf/ that hold no options of a run: Hydra's own, and what the report expects of experiments."""

OPTIONAL_GROUPS = ("experiment", "debug")
"""Groups that may be left out, and of which several options may be given as a list."""


def quoted(value: str) -> str:
    """A value as Hydra's grammar reads any text."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def written_keys(overrides: list[Override]) -> set[str]:
    """Keys and groups that these overrides set."""
    return {str(override.key_or_group) for override in overrides}
