"""The interpolations that conf/ uses: `${cil.preset:…}`, `${cil.if_split:…}`, `${cil.published:…}`,
`${cil.plain_augment:…}`, `${cil.nonce:}`, `${cil.run_id:}`, `${cil.groups:}`.
"""

import secrets
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from cil.config.methods import published
from cil.config.presets import if_split, plain_augment, preset
from cil.config.typed import register_schema
from cil.errors import ConfigError
from cil.planning.jobs import job_from_composed
from cil.planning.overrides import NOT_GROUPS


def _run_id(*, _root_: DictConfig) -> str:
    try:
        return job_from_composed(_root_).run_id
    except ConfigError as error:
        # OmegaConf wraps what a resolver raises; the message stays whole.
        raise ValueError(str(error)) from None


def _groups(*, _root_: DictConfig) -> str:
    """Every group and its options, one group a line, those of --config-dir and hydra.searchpath included.

    Hydra's own list of groups would hold folders of conf/ that are none.
    """
    options: dict[str, set[str]] = {}
    for source in _root_.hydra.runtime.config_sources:
        folder = Path(source.path)
        for path in folder.glob("*/*.yaml") if source.schema == "file" else ():
            options.setdefault(path.parent.name, set()).add(path.stem)
    groups = sorted(options.keys() - set(NOT_GROUPS))
    return "\n".join(f"{name}: {', '.join(sorted(options[name]))}" for name in groups)


def register() -> None:
    """Make the resolvers, and the schema's defaults, known to Hydra. Calling it again changes nothing."""
    register_schema()
    OmegaConf.register_new_resolver("cil.preset", preset, replace=True)
    OmegaConf.register_new_resolver("cil.if_split", if_split, replace=True)
    OmegaConf.register_new_resolver("cil.published", published, replace=True)
    OmegaConf.register_new_resolver("cil.plain_augment", plain_augment, replace=True)
    # Cached, so that a run's folder has one name however often it is asked for.
    OmegaConf.register_new_resolver("cil.nonce", lambda: secrets.token_hex(3), replace=True, use_cache=True)
    OmegaConf.register_new_resolver("cil.run_id", _run_id, replace=True)
    OmegaConf.register_new_resolver("cil.groups", _groups, replace=True)
