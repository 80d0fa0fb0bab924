"""Launchers and sweepers: ready options, and one line where the plugin is missing."""

import pytest

from cil.errors import ConfigError
from cil.planning import plugins
from cil.planning.docs import option_docs
from cil.planning.plan import plan
from tests.planning.test_docs import PAGE

# The options are called like the plugins' own on purpose; cil/planning/loading.py hides what Hydra says of it.
pytestmark = pytest.mark.filterwarnings("ignore:.*\n.*is validated against ConfigStore schema")

LAUNCHERS = {"joblib": "joblib", "ray": "ray", "submitit_local": "submitit", "submitit_slurm": "submitit"}


def test_every_launcher_has_a_ready_option_and_an_example():
    assert set(option_docs("hydra/launcher")) == set(LAUNCHERS)
    page = (PAGE.parent / "sweeps.md").read_text()
    for launcher in LAUNCHERS:
        assert f"hydra/launcher={launcher}" in page


@pytest.mark.parametrize(("launcher", "extra"), LAUNCHERS.items())
def test_a_missing_plugin_is_named_with_its_install_command(launcher, extra, monkeypatch):
    monkeypatch.setattr(plugins, "_is_installed", lambda module: "hydra_plugins" not in module)
    with pytest.raises(ConfigError) as caught:
        plan(["-m", "seed=1,2", f"hydra/launcher={launcher}"])
    assert str(caught.value) == (
        f"hydra/launcher: {launcher} needs {next(m for m, e in plugins.EXTRAS.items() if e == extra)}, "
        f"which is not installed; install it with: pip install 'cil[{extra}]'"
    )


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_an_option_composes_where_the_plugin_is_there(launcher, monkeypatch):
    monkeypatch.setattr(plugins, "_is_installed", lambda module: True)
    assert len(plan(["-m", "seed=1,2", f"hydra/launcher={launcher}"]).jobs) == 2


def test_optuna_is_named_too(monkeypatch):
    monkeypatch.setattr(plugins, "_is_installed", lambda module: "optuna" not in module)
    with pytest.raises(
        ConfigError, match=r"hydra/sweeper.*is not installed; install it with: pip install .cil\[optuna\]"
    ):
        plan(["-m", "hydra/sweeper=optuna_study", "seed=1,2"])


def test_a_sweeper_that_looks_for_the_lowest_accuracy_is_refused():
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.direction: minimize looks for the lowest accuracy"):
        plan(["-m", "hydra/sweeper=optuna", "ant_margin=interval(0.1,0.5)"])
    chosen = ["hydra.sweeper.direction=maximize", "ant_margin=interval(0.1,0.5)"]
    assert not plan(["-m", "hydra/sweeper=optuna", *chosen]).grid


def test_a_launcher_of_ones_own_must_be_there():
    with pytest.raises(ConfigError, match=r"hydra/launcher: basic needs nowhere\.at_all, which is not installed"):
        plan(["-m", "seed=1,2", "hydra.launcher._target_=nowhere.at_all.Launcher"])


@pytest.mark.parametrize("tracker", ["mlflow", "wandb"])
def test_a_tracker_whose_package_is_missing_is_refused_before_anything_runs(tracker, monkeypatch):
    monkeypatch.setattr(plugins, "_is_installed", lambda module: module != tracker)
    with pytest.raises(ConfigError) as caught:
        plan([f"tracking.mirror={tracker}"])
    assert str(caught.value) == (
        f"tracking.mirror: {tracker} is not installed; install it with: pip install 'cil[{tracker}]', or leave it out: "
        "tracking.mirror=null"
    )
    monkeypatch.setattr(plugins, "_is_installed", lambda module: True)
    assert plan([f"tracking.mirror={tracker}"]).jobs[0].run_id == plan([]).jobs[0].run_id
    with pytest.raises(ConfigError, match=r"tracking\.mirror: 'tensorboard' is unknown; valid: mlflow, wandb"):
        plan(["tracking.mirror=tensorboard"])
