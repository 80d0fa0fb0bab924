"""The jobs of a sweep: grids that experiments bring, repeats, folders."""

import pytest

from cil.errors import ConfigError
from cil.planning.plan import plan

GRID = "# @package _global_\nname: {name}\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      {params}\n"


@pytest.fixture
def options(tmp_path):
    """Arguments that add three experiments: two with a grid, one without."""
    (tmp_path / "experiment").mkdir()
    files = {
        "margins": GRID.format(name="margins", params="ant_margin: 0.1,0.2"),
        "seeds": GRID.format(name="seeds", params="seed: 1,2"),
        "plain": "# @package _global_\nname: plain\nloss:\n  temperature: 0.3\n",
    }
    for name, text in files.items():
        (tmp_path / "experiment" / f"{name}.yaml").write_text(text)
    return ["--config-dir", str(tmp_path)]


def test_one_grid_beside_a_plain_experiment(options):
    jobs = plan([*options, "experiment=[margins,plain]"]).jobs
    assert [(job.config.ant_margin, job.config.loss.temperature) for job in jobs] == [(0.1, 0.3), (0.2, 0.3)]


@pytest.mark.parametrize("more", [[], ["-m"], ["seed=1"]], ids=str)
def test_two_grids_are_refused_in_one_line(options, more):
    with pytest.raises(ConfigError) as caught:
        plan([*options, "experiment=[margins,plain,seeds]", *more])
    assert str(caught.value).startswith("experiment: margins and seeds both bring a sweep grid, and only one can")
    assert "\n" not in str(caught.value)


def test_a_grid_cannot_be_one_of_several_values(options):
    with pytest.raises(ConfigError, match="margins brings a sweep grid, so it cannot be one of several values"):
        plan([*options, "-m", "experiment=margins,plain"])
    assert len(plan([*options, "-m", "experiment=plain,baseline"]).jobs) == 2


def test_the_command_line_replaces_and_extends_a_grid(options):
    replaced = plan([*options, "experiment=margins", "ant_margin=0.3,0.4,0.5"]).jobs
    assert [job.config.ant_margin for job in replaced] == [0.3, 0.4, 0.5]
    extended = plan([*options, "experiment=margins", "seed=1,2"]).jobs
    assert [(job.config.ant_margin, job.config.seed) for job in extended] == [(0.1, 1), (0.1, 2), (0.2, 1), (0.2, 2)]


def test_a_larger_grid_keeps_the_folders_of_the_smaller():
    small = plan(["-m", "loss=ant", "ant_margin=0.1,0.2", "seed=1"]).jobs
    large = plan(["-m", "loss=ant", "ant_margin=0.3,0.2,0.1", "seed=2,1"]).jobs
    assert {job.folder for job in small} < {job.folder for job in large}
    assert len(large) == 6


def test_unused_settings_make_no_further_jobs():
    planned = plan(["-m", "loss=infonce,ant", "loss.ant_beta=0.5,1"])
    assert len(planned.jobs) == 3
    assert [job.copies for job in planned.jobs] == [[["loss=infonce", "loss.ant_beta=1"]], [], []]


def test_two_jobs_never_share_a_folder():
    with pytest.raises(ConfigError, match=r"hydra\.sweep\.subdir: two different jobs .* would write into"):
        plan(["-m", "seed=1,2", "ant_margin=0.1,0.2", "hydra.sweep.subdir=${seed}"])


def test_a_sweeper_that_chooses_values_is_no_grid(monkeypatch):
    monkeypatch.setattr("cil.planning.plugins._is_installed", lambda module: True)
    assert plan(["-m", "seed=1,2"]).grid
    chooses = ["-m", "hydra.sweeper._target_=elsewhere.Sweeper", "seed=1"]
    assert not plan(chooses).grid
