"""The value rules that look at one key alone, as they stand beside it in the schema."""

import math
from collections.abc import Collection

from cil.config.keys import WHERE_USED
from cil.config.names import describe_type, key_types, show
from cil.config.schema import RunConfig
from cil.config.typed import flat, plain
from cil.config.usage import key_facts, why_unused
from cil.errors import ConfigError


def check_ranges(config: RunConfig, only: Collection[str] | None = None) -> None:
    """Raises ConfigError for the first value that its key does not allow, NaN and infinity included.

    only: these keys alone.
    """
    known = key_facts(config.method.name)
    for key, value in flat(plain(config)).items():
        if only is not None and key not in only:
            continue
        rule = known[key].get("rule")
        for entry in value if isinstance(value, list) else [value]:
            if isinstance(entry, float) and not math.isfinite(entry):
                raise ConfigError(f"{key}: {entry} is not a finite number")
            if rule is not None and entry is not None and not rule.test(entry):
                raise ConfigError(f"{key}: {show(value)} {rule.problem}; {rule.text}")
            if isinstance(entry, str) and "${" in entry:
                raise ConfigError(f"{key}: {entry!r} contains '${{', which stored configurations must not")


def check_nulls(config: RunConfig) -> None:
    """Raises ConfigError for the first key that is null although the run needs it."""
    values = flat(plain(config))
    for key, facts in key_facts(config.method.name).items():
        needed = facts.get("needed")
        if needed is None or values[key] is not None or why_unused(values, key) is not None:
            continue
        text = needed if needed == WHERE_USED else needed + describe_type(key_types(config.method.name)[key])
        raise ConfigError(f"{key}: {text}")
