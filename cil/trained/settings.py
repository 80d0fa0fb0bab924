"""Settings of a finished run that may differ when it is looked at again: where the images are, and what computes."""

from collections.abc import Mapping
from typing import Any

import yaml

from cil.config.names import show
from cil.config.schema import RunConfig
from cil.config.typed import plain, typed
from cil.config.usage import flat, put
from cil.errors import ConfigError

LOOKED_AT_AGAIN = ("dataset.root", "dataset.num_workers", "device", "trainer.eval_batch_size")


def parse_settings(arguments: list[str], own: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """KEY=VALUE arguments -> (those of `own`, the other ones). Raises ConfigError for what has no such form."""
    chosen, others = dict(own), dict[str, Any]()
    for text in arguments:
        key, equals, value = text.partition("=")
        if not equals or not key or text.startswith("-"):
            raise ConfigError(f"{text}: is not KEY=VALUE; valid keys: {', '.join((*own, *LOOKED_AT_AGAIN))}")
        try:
            parsed = yaml.safe_load(value) if value else None
        except yaml.YAMLError:
            parsed = value
        (chosen if key in own else others)[key] = parsed
    return chosen, others


def with_settings(config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """The run's settings with some of LOOKED_AT_AGAIN replaced. Raises ConfigError for any other key."""
    changed = plain(config)
    known = flat(changed)
    for key, value in values.items():
        if key not in LOOKED_AT_AGAIN:
            what = "is unknown"
            if key in known:
                what = f"the run was trained with {show(known[key])}, and is looked at as it is"
            raise ConfigError(f"{key}: {what}; valid: {', '.join(LOOKED_AT_AGAIN)}")
        put(changed, key, value)
    return typed(changed)
