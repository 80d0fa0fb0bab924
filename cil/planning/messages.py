"""What Hydra and OmegaConf raise, as a ConfigError of one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import ConfigCompositionException, HydraException
from omegaconf.errors import OmegaConfBaseException

from cil.errors import ConfigError


@contextmanager
def one_line() -> Iterator[None]:
    """What Hydra and OmegaConf raise, as a ConfigError of one line."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(first_line(error)) from None


def first_line(error: BaseException) -> str:
    """First line of the message, or of what caused it; with the key, where OmegaConf names one."""
    refused = getattr(error.__context__, "__cause__", None)
    if isinstance(error, ConfigCompositionException) and isinstance(refused, ConfigError):
        return str(refused)  # of a resolver in a defaults list, where Hydra leaves the reason out
    text = str(error).strip() or str(error.__cause__ or "").strip() or type(error).__name__
    key = getattr(error, "full_key", None) or getattr(error.__cause__, "full_key", None)
    # YAML errors say where they are only in their later lines.
    line = " ".join(text.split()) if hasattr(error, "problem_mark") else text.splitlines()[0]
    return f"{key}: {line}" if key and key not in line else line
