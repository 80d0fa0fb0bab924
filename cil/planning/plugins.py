"""Hydra's launchers and sweepers that are installed apart from this project."""

from importlib.util import find_spec

from omegaconf import DictConfig

from cil.config.schema import TrackingConfig
from cil.distributed.launch import launched
from cil.errors import ConfigError

EXTRAS = {
    "hydra_plugins.hydra_joblib_launcher": "joblib",
    "hydra_plugins.hydra_ray_launcher": "ray",
    "hydra_plugins.hydra_submitit_launcher": "submitit",
    "hydra_plugins.hydra_optuna_sweeper": "optuna",
}
"""Module of a plugin -> the extra of this project that installs it."""

OWN_OPTIONS = {"hydra/sweeper/optuna": "optuna"}
"""Options that a plugin itself brings, so that nothing is known of them without it -> the extra that installs it."""


def install_command(extra: str) -> str:
    """How to install an extra of this project."""
    return f"install it with: pip install 'cil[{extra}]'"


def check_plugins(composed: DictConfig) -> None:
    """Raises ConfigError, with the install command, for a chosen launcher or sweeper that is not installed.

    Also for a launcher that starts processes of its own, where torchrun has started those of the job.
    """
    launcher = str(composed.hydra.launcher.get("_target_"))
    if launched() is not None and not launcher.endswith(".BasicLauncher"):
        choice = composed.hydra.runtime.choices.get("hydra/launcher")
        raise ConfigError(
            f"hydra/launcher: {choice} starts processes of its own, and torchrun has started those that train every "
            "job together; valid: hydra/launcher=basic, which runs the jobs one after another"
        )
    for kind in ("launcher", "sweeper"):
        target = str(composed.hydra[kind].get("_target_"))
        module = ".".join(target.split(".")[:2])
        if not _is_installed(module):
            choice = composed.hydra.runtime.choices.get(f"hydra/{kind}")
            extra = EXTRAS.get(module)
            command = f"; {install_command(extra)}" if extra else ""
            raise ConfigError(f"hydra/{kind}: {choice} needs {module}, which is not installed{command}")


def check_mirror(tracking: TrackingConfig) -> None:
    """Raises ConfigError, with the install command, for a tracker whose package is not installed."""
    name = None if tracking.mirror is None else tracking.mirror.name
    if name is not None and not _is_installed(name):
        raise ConfigError(
            f"tracking.mirror: {name} is not installed; {install_command(name)}, or leave it out: tracking.mirror=null"
        )


def check_direction(composed: DictConfig) -> None:
    """Raises ConfigError for a sweeper that looks for the lowest value, as Optuna's does unless told otherwise."""
    direction = composed.hydra.sweeper.get("direction")
    if getattr(direction, "name", direction) == "minimize":
        raise ConfigError(
            "hydra.sweeper.direction: minimize looks for the lowest accuracy; write hydra.sweeper.direction=maximize, "
            "or hydra/sweeper=optuna_study, which does so and keeps the study"
        )


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
