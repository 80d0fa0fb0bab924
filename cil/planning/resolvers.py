"""The interpolations that conf/ uses: `${cil.preset:…}`, `${cil.if_split:…}`, `${cil.nonce:}`, `${cil.run_id:}`."""

import secrets

from omegaconf import DictConfig, OmegaConf

from cil.config.presets import if_split, preset
from cil.errors import ConfigError
from cil.planning.jobs import job_from_composed


def _run_id(*, _root_: DictConfig) -> str:
    try:
        return job_from_composed(_root_).run_id
    except ConfigError as error:
        # OmegaConf wraps what a resolver raises; the message stays whole.
        raise ValueError(str(error)) from None


def register() -> None:
    """Make the resolvers known to OmegaConf. Calling it again changes nothing."""
    OmegaConf.register_new_resolver("cil.preset", preset, replace=True)
    OmegaConf.register_new_resolver("cil.if_split", if_split, replace=True)
    # Cached, so that a run's folder has one name however often it is asked for.
    OmegaConf.register_new_resolver("cil.nonce", lambda: secrets.token_hex(3), replace=True, use_cache=True)
    OmegaConf.register_new_resolver("cil.run_id", _run_id, replace=True)
