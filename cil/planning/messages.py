"""What Hydra and OmegaConf raise, as a ConfigError of one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import ConfigCompositionException, HydraException
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

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
    if isinstance(error, ConfigCompositionException) and isinstance(error.__context__, InterpolationResolutionError):
        # In a defaults list Hydra leaves out why a resolver of ours refused.
        refused: BaseException | None = error.__context__
        while refused is not None and not isinstance(refused, ConfigError):
            refused = refused.__context__
        if refused is not None:
            return str(refused)
    text = str(error).strip() or str(error.__cause__ or "").strip() or type(error).__name__
    key = getattr(error, "full_key", None) or getattr(error.__cause__, "full_key", None)
    # YAML errors say where they are only in their later lines.
    line = " ".join(text.split()) if hasattr(error, "problem_mark") else text.splitlines()[0]
    return f"{key}: {line}" if key and key not in line else line
