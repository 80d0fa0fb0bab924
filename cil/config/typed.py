"""From a plain composed dictionary to the typed RunConfig, and between RunConfig and config.yaml."""

from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, cast, get_args

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from cil.config.methods import available_methods
from cil.config.names import describe_type, key_types, suggestion, unknown_key
from cil.config.schema import RunConfig, method_schema
from cil.config.usage import flat as flat
from cil.config.usage import with_neutral
from cil.errors import ConfigError

SCHEMA_NAME = "run_schema"
DEFAULTS_NAME = "schema_defaults"
"""What conf/config.yaml starts from, so that a key need not stand in a YAML file to be there."""


@cache
def register_schema() -> None:
    """Put the root schema and its defaults into Hydra's ConfigStore, once a process."""
    ConfigStore.instance().store(name=SCHEMA_NAME, node=RunConfig)
    # As plain values: a wrong type is told by `typed`, in one line.
    groups = {name: value for name, value in plain(RunConfig()).items() if isinstance(value, dict) and name != "method"}
    ConfigStore.instance().store(name=DEFAULTS_NAME, node=groups)


def typed(plain: dict[str, Any]) -> RunConfig:
    """The RunConfig of a composed and resolved dictionary (without the hydra node).

    Every key of the schema must be there and no other. Raises ConfigError naming the key.
    """
    method = _method_name(plain)
    types = key_types(method)
    values = _leaves(plain, {key.split(".")[0] for key in types if "." in key})
    for key in values:
        if key not in types:
            raise unknown_key(key, method=method)
    for key in types:
        if key not in values:
            raise ConfigError(f"{key}: is missing; a key cannot be deleted, write {key}=null to switch it off")
    schema = _schema(method)
    for key, value in values.items():
        try:
            OmegaConf.update(schema, key, value, merge=False)
        except (OmegaConfBaseException, ValueError, TypeError):
            raise wrong_type(key, value, types[key]) from None
    return cast(RunConfig, OmegaConf.to_object(schema))


def plain(config: RunConfig) -> dict[str, Any]:
    """The configuration as plain Python values, enums by name: what config.yaml holds."""
    return cast(dict[str, Any], plain_value(config))


def plain_value(value: Any) -> Any:
    """A value of the configuration as plain Python: enums by name, a group as a dictionary."""
    if is_dataclass(value):
        return {field.name: plain_value(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Enum):
        return value.name
    return [plain_value(entry) for entry in value] if isinstance(value, list) else value


def to_yaml(effective: dict[str, Any]) -> str:
    """Text of config.yaml: no interpolation, no hydra node; `load_effective` reads it back."""
    return OmegaConf.to_yaml(OmegaConf.create(effective))


def load_effective(path: str | Path) -> RunConfig:
    """The RunConfig of a run's config.yaml. Executes nothing that the file may contain.

    Keys that are newer than the run get their neutral value. Raises ConfigError for a missing or broken file, a
    hydra node, an interpolation, or a `_target_`.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        loaded = OmegaConf.load(Path(path)) if text.strip() else None
    except (OSError, UnicodeDecodeError, YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{path}: cannot be read as a configuration: {str(error).splitlines()[0]}") from None
    if not isinstance(loaded, DictConfig):
        raise ConfigError(f"{path}: holds no configuration")
    content = cast(dict[str, Any], OmegaConf.to_container(loaded, resolve=False))
    for forbidden in ("hydra", "_target_", "${"):
        if _contains(content, forbidden):
            raise ConfigError(f"{path}: a stored configuration must not contain {forbidden!r}")
    try:
        return typed(with_neutral(content))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def wrong_type(key: str, value: Any, hint: Any) -> ConfigError:
    """The error for a value that the key's type does not take."""
    shown = "null" if value is None else repr(value)
    members = [part for part in (get_args(hint) or (hint,)) if isinstance(part, type) and issubclass(part, Enum)]
    if members and isinstance(value, str):
        return ConfigError(f"{key}: {shown} is unknown; {suggestion(value, members[0].__members__)}")
    return ConfigError(f"{key}: {shown} is not valid; expected {describe_type(hint)}")


def _method_name(plain: dict[str, Any]) -> str:
    method = plain.get("method")
    name = method.get("name") if isinstance(method, dict) else None
    if not isinstance(name, str) or name not in available_methods():
        raise ConfigError(f"method.name: no method {name!r}; {suggestion(str(name), available_methods())}")
    return name


@cache
def _schema(method: str) -> DictConfig:
    """The registered schema with the keys of this method. Shared: `typed` sets every key of it each time."""
    register_schema()
    node = ConfigStore.instance().load(f"{SCHEMA_NAME}.yaml").node.copy()
    node.method = OmegaConf.structured(method_schema(method))
    return node


def _leaves(plain: dict[str, Any], groups: set[str]) -> dict[str, Any]:
    """Dotted key -> value, one level deep: only groups of the schema are opened."""
    values: dict[str, Any] = {}
    for name, value in plain.items():
        if name in groups:
            if not isinstance(value, dict):
                raise ConfigError(f"{name}: is a group of keys and cannot be {value!r}")
            values |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            values[str(name)] = value
    return values


def _contains(content: Any, word: str) -> bool:
    """Whether `word` is a key, or part of a text value for interpolations, anywhere in `content`."""
    if isinstance(content, dict):
        return any(key == word or _contains(value, word) for key, value in content.items())
    if isinstance(content, list):
        return any(_contains(value, word) for value in content)
    return word == "${" and isinstance(content, str) and word in content
