"""Plans of command lines: single runs, sweeps, and what Hydra only prints."""

import itertools
import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

import cil
from cil.config.identity import run_id
from cil.config.typed import plain
from cil.planning.plan import composed_config, plan
from tests.planning.helpers import one

ROOT = Path(__file__).resolve().parents[2]


def test_a_single_run():
    result = plan(["seed=3", "hydra.job.name=x"])
    (job,) = result.jobs
    assert (result.multirun, result.show, job.folder) == (False, False, None)
    assert job.overrides == ["seed=3"]
    assert job.run_id == run_id(job.effective)


def test_a_sweep_in_the_order_of_hydra():
    result = plan(["-m", "ant_margin=0.1,0.2", "seed=range(1,3)"])
    assert result.multirun
    assert [job.overrides for job in result.jobs] == [
        ["ant_margin=0.1", "seed=1"],
        ["ant_margin=0.1", "seed=2"],
        ["ant_margin=0.2", "seed=1"],
        ["ant_margin=0.2", "seed=2"],
    ]
    assert [job.folder for job in result.jobs] == [Path("outputs/sweeps/run") / job.run_id for job in result.jobs]
    assert len({job.run_id for job in result.jobs}) == 4


def test_a_job_of_a_sweep_is_the_run_alone():
    swept = plan(["-m", "loss=ant_gap", "ant_margin=0.1,0.4"]).jobs[1]
    alone = one("loss=ant_gap", "ant_margin=0.4")
    assert (swept.config, swept.run_id) == (alone.config, alone.run_id)


def test_equal_jobs_run_once():
    (job,) = plan(["-m", "ant_margin=0.1,0.1"]).jobs
    assert job.copies == [["ant_margin=0.1"]]
    result = plan(["-m", "device=cpu,auto"])
    assert len(result.jobs) == 1
    assert result.warnings == ["device=auto: is the same experiment as another job; runs once"]
    assert len(plan(["-m", "name=a,b"]).jobs) == 2


def test_choices_by_pattern():
    jobs = plan(["-m", "loss=glob(ant_*,exclude=*adaptive*)", "loss.temperature=0.1"]).jobs
    names = [job.overrides[0].removeprefix("loss=") for job in jobs]
    assert names == ["ant_curriculum", "ant_detached", "ant_gap", "ant_hard"]


def test_a_grid_that_an_experiment_brings(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "grid.yaml").write_text(
        "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      ant_margin: 0.1,0.2\n"
    )
    arguments = ["--config-dir", str(tmp_path), "experiment=grid"]
    result = plan(arguments)
    assert result.multirun
    assert [job.config.ant_margin for job in result.jobs] == [0.1, 0.2]
    assert len(plan([*arguments, "seed=1,2"]).jobs) == 4
    assert [job.config.ant_margin for job in plan([*arguments, "ant_margin=0.5"]).jobs] == [0.5]


def test_hydra_mode_makes_a_sweep():
    assert len(plan(["hydra.mode=MULTIRUN", "seed=1,2"]).jobs) == 2


def test_folders_of_the_users_choice():
    jobs = plan(["-m", "seed=1,2", "hydra.sweep.dir=/elsewhere", "hydra.sweep.subdir=${seed}"]).jobs
    assert [str(job.folder) for job in jobs] == ["/elsewhere/1", "/elsewhere/2"]
    jobs = plan(["-m", "seed=1,1,2", "hydra.sweep.subdir=${hydra.job.num}"]).jobs
    assert [str(job.folder) for job in jobs] == ["outputs/sweeps/run/0", "outputs/sweeps/run/1"]
    assert [job.folder for job in plan(["-m", "seed=1,2", "hydra.sweep.subdir=${hydra.job.id}"]).jobs] == [None, None]


def test_one_time_for_the_whole_command(monkeypatch):
    """Every composition would ask the clock anew; here it moves on by a second each time."""
    ticks = itertools.count()
    monkeypatch.setattr("hydra.core.utils.datetime", SimpleNamespace(now=lambda: datetime.fromtimestamp(next(ticks))))
    jobs = plan(["-m", "seed=1,2", "hydra.sweep.dir=a/${now:%H-%M-%S}/${name}", "name='n${now:%S}'"]).jobs
    (place,) = {job.folder.parent for job in jobs}
    assert {job.config.name for job in jobs} == {place.name}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--help", "loss=ant"],
        ["--cfg", "job"],
        ["--cfg", "job", "dataset=cifar100", "dataset.root=/does/not/exist"],
        ["--cfg", "job", "--package", "loss", "--resolve"],
        ["--cfg", "hydra"],
        ["--info", "defaults"],
        ["--hydra-help"],
        ["--shell-completion", "install=bash"],
    ],
    ids=" ".join,
)
def test_what_hydra_only_prints(arguments):
    result = plan(arguments)
    assert result.show
    assert result.jobs == []


def test_cfg_job_shows_the_values_that_a_run_gets():
    """Lists among them, which Hydra's own --resolve fails on."""
    text = plan(["--cfg", "job", "method=foster", "dataset=cifar100"]).text
    assert text is not None and "${" not in text and "hydra" not in text
    shown = yaml.safe_load(text)
    assert shown == plain(composed_config(["method=foster", "dataset=cifar100"]))
    part = plan(["--cfg", "job", "--package", "margin_schedule"]).text
    assert part is not None and part.startswith("# @package margin_schedule\nname: linear\n") and "${" not in part
    assert plan(["--cfg", "job", "--package", "loss.name", "--resolve"]).text == "ant\n"
    assert plan(["--cfg", "hydra"]).text is None


def test_help_shows_them_too():
    assert plan(["--help"]).argv == ["--help", "--resolve"]
    assert plan(["--help", "--resolve"]).argv == ["--help", "--resolve"]


def test_another_sweeper_chooses_the_values_itself(monkeypatch):
    monkeypatch.setattr("cil.planning.plugins._is_installed", lambda module: True)
    arguments = ["-m", "hydra.sweeper._target_=elsewhere.Sweeper", "ant_margin=interval(0,1)", "seed=4"]
    (job,) = plan(arguments).jobs
    assert (job.config.seed, job.overrides) == (4, ["seed=4"])


def test_the_command_line_for_hydra(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    arguments = ["--cfg", "job", "dataset.root=~/data", "name=a"]
    assert plan(arguments).argv == ["--cfg", "job", "dataset.root=/home/someone/data", "name=a"]
    assert plan(["seed=1"]).argv == ["seed=1"]
    assert plan(["-m", "seed=1"]).argv == ["-m", "seed=1"]


def test_version_is_printed(capsys):
    with pytest.raises(SystemExit) as caught:
        plan(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"cil {cil.__version__}\n"


def run_python(code, *arguments, cwd=None):
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": "/tmp"}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=120, check=False)


PREFLIGHT = """
import json, sys
from cil.errors import ConfigError
from cil.planning.plan import compose_jobs
try:
    found = [str(job.folder) for job in compose_jobs(sys.argv[1:])]
except ConfigError as error:
    found = str(error)
heavy = [name for name in ("torch", "torchvision", "sklearn", "tensorboard") if name in sys.modules]
print(json.dumps([found, heavy]))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--cfg", "job"],
        ["--help"],
        ["loss=typo"],
        ["ant_margin=-1"],
        ["device=gpu"],
        ["dataset=cifar100", "dataset.root=/does/not/exist"],
        ["dataset=imagenet100", "dataset.root=/does/not/exist"],
        ["-m", "seed=1,2", "loss=ant,infonce"],
    ],
    ids=" ".join,
)
def test_torch_is_not_imported(arguments, tmp_path):
    done = run_python(PREFLIGHT, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[1] == []
    assert list(tmp_path.iterdir()) == []


HYDRA_JOBS = """
import hydra
from hydra.core.hydra_config import HydraConfig
from cil.planning.plan import VERSION_BASE, job_from_composed
from cil.config.locations import config_dir
from cil.planning.resolvers import register

def run(composed):
    job = job_from_composed(composed)
    print(job.run_id, HydraConfig.get().runtime.output_dir)

register()
hydra.main(version_base=VERSION_BASE, config_path=str(config_dir()), config_name="config")(run)()
"""


def test_hydra_starts_exactly_the_planned_jobs(tmp_path, monkeypatch):
    arguments = ["-m", "loss=infonce,ant_adaptive", "seed=1,2", "dataset.root=data"]
    done = run_python(HYDRA_JOBS, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    monkeypatch.chdir(tmp_path)
    started = [tuple(line.split()) for line in done.stdout.splitlines()]
    assert started == [(job.run_id, str(tmp_path / job.folder)) for job in plan(arguments).jobs]


def test_a_place_of_data_that_nothing_is_read_from_is_told():
    told = one("dataset.root=/data/cifar100", "dataset.download=true").warnings
    for key in ("dataset.root", "dataset.download"):
        assert f"{key}: has no effect, dataset=digits comes with scikit-learn" in told
    assert "dataset.name: these are digits, dataset=cifar100 would be cifar100" in one("dataset.name=cifar100").warnings
    assert not [line for line in one("dataset.name=mine").warnings if "dataset" in line]


def test_what_max_tasks_does_not_cut_is_told():
    assert "trainer.max_tasks: 9 cuts nothing off, the split has 5 tasks" in one("trainer.max_tasks=9").warnings
    assert not [line for line in one("trainer.max_tasks=5").warnings if "max_tasks" in line]
    whole = ["split=joint", "method=joint", "trainer.max_tasks=2"]
    assert "trainer.max_tasks: 2 cuts nothing off, the split has 1 task" in one(*whole).warnings


def test_single_runs_get_folders_of_their_own(tmp_path):
    folders = {run_python(HYDRA_JOBS, "name=mine", cwd=tmp_path).stdout.split()[1] for _ in range(2)}
    assert len(folders) == 2
    for folder in folders:
        assert Path(folder).parent == tmp_path / "outputs" / "mine"
        assert list(Path(folder).iterdir()) == []  # no .hydra folder, no log file
    chosen = run_python(HYDRA_JOBS, "hydra.run.dir=there", cwd=tmp_path).stdout.split()[1]
    assert chosen == str(tmp_path / "there")
