"""Sweeps: what is finished stays, what is new runs, and a job never depends on its place."""

import gc
import json
import logging
import os
import pickle
import re
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path

import pytest
import torch

from cil.errors import ConfigError
from cil.planning.plan import plan
from cil.records.checkpoint import CheckpointFolder, read_checkpoint
from cil.records.states import State, look
from cil.run import job as job_module
from cil.run.experiment import run_experiment
from cil.run.job import JobFailed
from cil.run.signals import Interrupted, StopSignals
from cil.sweep.dry_run import show_plan
from cil.sweep.left import SweepLeft, Work
from cil.sweep.runner import run_sweep
from cil.sweep.task import SweepTask
from tests.commands import PROJECT, changed, train
from tests.sweep.sweeps import SWEEP, TINY, figures, hashes, jobs, sweep, table_of


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def final_weights(folder: Path) -> dict[str, torch.Tensor]:
    (path,) = CheckpointFolder(folder / "checkpoints")._labelled("final-")
    return read_checkpoint(path)["method"]["network"]


def test_finished_jobs_are_left_alone_and_a_larger_grid_adds_the_new_ones(capsys):
    assert sweep("ant_margin=0.1,0.2", "seed=1") == 0
    before = {job.run_id: hashes(job.folder) for job in jobs("ant_margin=0.1,0.2", "seed=1")}
    assert len(before) == 2
    assert set(table_of().values()) == {"ok"}
    capsys.readouterr()
    assert sweep("seed=1", "ant_margin=0.3,0.1,0.2,0.2") == 0
    out = capsys.readouterr().out
    assert "sweep: 3 jobs, 2 finished before" in out
    assert "3 jobs: 1 ok, 2 skipped" in out
    assert out.count("run folder:") == 1
    before_it, after_it = (line for line in out.splitlines() if line.startswith("[1/3]"))
    assert re.fullmatch(r"\[1/3\] ant_margin=0.3 \(sweep: about \d\d:\d\d left\)", before_it)
    assert re.match(r"\[1/3\] ant_margin=0.3: average \d+\.\d\d, last ", after_it)
    for run_id, files in before.items():
        assert hashes(SWEEP / run_id) == files
        assert table_of()[run_id] == "skipped"
    (new,) = set(table_of()) - set(before)
    assert table_of()[new] == "ok"
    assert {path.name for path in SWEEP.iterdir()} == {*before, new, "sweep.json"}


def test_the_baseline_of_the_natural_question_is_trained_once(capsys):
    question = ("loss=infonce,ant", "ant_margin=0.3,0.4", "seed=1", "trainer.max_tasks=1")
    assert sweep(*question) == 0
    out = capsys.readouterr().out
    assert "note: loss=infonce trains without a margin: ant_margin=0.3, 0.4 are one run" in out
    assert "3 jobs: 3 ok" in out
    before = {path: hashes(path) for path in SWEEP.iterdir() if path.is_dir()}
    assert sweep(*question[:1], "ant_margin=0.1,0.3,0.4", *question[2:]) == 0
    assert "4 jobs: 3 skipped, 1 ok" in capsys.readouterr().out, (
        "though 0.1 would have been the margin of its statistics"
    )
    assert {path: hashes(path) for path in before} == before


def test_a_job_equals_the_same_run_alone_whatever_its_position():
    assert sweep("ant_margin=0.1,0.4", "trainer.deterministic=true,false") == 0
    second, *_, third = [job.folder for job in jobs("ant_margin=0.1,0.4", "trainer.deterministic=true,false")][1:]
    (alone,) = plan([*TINY, "ant_margin=0.4", "trainer.deterministic=false"]).jobs
    assert alone.folder is None
    torch.manual_seed(99)
    run_experiment(alone, Path("alone"), resume=False)
    assert figures(third) == figures(Path("alone"))
    a, b = final_weights(third), final_weights(Path("alone"))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert figures(second) != figures(third)


def test_nothing_is_left_behind_by_a_job():
    handlers = list(logging.getLogger("cil").handlers)
    before = [signal.getsignal(s) for s in StopSignals.SIGNALS]
    assert sweep("seed=1,2") == 0
    assert logging.getLogger("cil").handlers == handlers
    assert [signal.getsignal(s) for s in StopSignals.SIGNALS] == before
    first, second = (job.folder for job in jobs("seed=1,2"))
    for folder in (first, second):
        text = (folder / "train.log").read_text()
        assert text.count("task 1/2 done") == 1


def test_one_failing_job_does_not_stop_the_others(capsys):
    assert sweep("optimizer.lr=1e30,0.1", "trainer.check_every=2") == 1
    bad, good = jobs("optimizer.lr=1e30,0.1", "trainer.check_every=2")
    assert table_of() == {bad.run_id: "failed", good.run_id: "ok"}
    status = look(bad.folder).status
    assert "diverged" in status["error"]
    out = capsys.readouterr().out
    assert f"failed: {bad.run_id}: training diverged in task 1" in out
    assert "2 jobs: 1 failed, 1 ok" in out


def test_an_unexpected_error_is_in_the_jobs_folder_with_its_traceback(monkeypatch):
    from cil.engine.loop import Trainer

    original = Trainer.run

    def broken(trainer):
        if trainer.config.seed == 1:
            raise RuntimeError("out of luck")
        original(trainer)

    monkeypatch.setattr(Trainer, "run", broken)
    assert sweep("seed=1,2") == 1
    bad, good = jobs("seed=1,2")
    assert look(bad.folder).status["error"] == "RuntimeError: out of luck"
    log = (bad.folder / "train.log").read_text()
    assert "Traceback" in log
    assert "in broken" in log
    assert look(good.folder).state is State.finished
    monkeypatch.undo()
    os.chdir(bad.folder.resolve().parents[3])
    assert sweep("seed=1,2") == 0, "a failed job is tried again"


def test_a_failed_job_holds_no_memory_of_the_next(monkeypatch):
    alive = []

    class Big:
        pass

    def broken(job, folder, **named):
        big = Big()
        alive.append(weakref.ref(big))
        raise RuntimeError("boom")

    monkeypatch.setattr(job_module, "_run", broken)
    with pytest.raises(JobFailed, match="RuntimeError: boom") as caught:
        job_module._run_of_sweep(jobs("seed=1")[0], Path("x"), show=False)
    error = caught.value
    gc.collect()
    assert alive[0]() is None
    assert (error.__cause__, error.__context__) == (None, None)


def test_what_travels_between_processes_can_be_pickled():
    assert str(pickle.loads(pickle.dumps(JobFailed("why")))) == "why"
    task = pickle.loads(pickle.dumps(SweepTask({Path("a"): "[1/1] seed=1"}, SweepLeft([Work(Path("a"), "kind")]))))
    assert task.heads == {Path("a"): "[1/1] seed=1"}
    again = pickle.loads(pickle.dumps(Interrupted(signal.SIGTERM)))
    assert (again.signum, str(again)) == (signal.SIGTERM, "stopped by SIGTERM")


def test_several_names_have_a_folder_and_a_file_each():
    assert sweep("name=a,b") == 0
    for name in "ab":
        (job,) = [job for job in jobs("name=a,b") if job.config.name == name]
        assert table_of(Path("outputs/sweeps") / name) == {job.run_id: "ok"}
    assert {path.name for path in Path("outputs/sweeps").iterdir()} == {"a", "b"}


def test_the_value_of_a_run_is_its_incremental_average(monkeypatch):
    values = []
    original = job_module._run

    def noted(*arguments, **named):
        values.append(original(*arguments, **named))
        return values[-1]

    monkeypatch.setattr(job_module, "_run", noted)
    assert sweep("seed=1") == 0
    result = json.loads((jobs("seed=1")[0].folder / "result.json").read_text())
    assert values == [result["incremental_avg_top1"]]


def test_another_place_of_the_data_is_told():
    assert sweep("seed=1") == 0
    config = jobs("seed=1")[0].folder / "config.yaml"
    config.write_text(config.read_text().replace("root: null", "root: /elsewhere"))
    (warning,) = [text for text in plan(["-m", *TINY, "seed=1"]).warnings if "dataset.root" in text]
    assert "was run with dataset.root=/elsewhere, here it is None" in warning


def test_a_damaged_config_is_no_matter_of_the_other_jobs():
    assert sweep("seed=1") == 0
    first, second = jobs("seed=1,2")
    (first.folder / "config.yaml").write_text("seed: [")
    assert sweep("seed=1,2") == 1
    assert table_of() == {first.run_id: "failed", second.run_id: "ok"}


def test_a_finished_job_without_its_result_is_no_success(capsys):
    assert sweep("seed=1") == 0
    (jobs("seed=1")[0].folder / "result.json").unlink()
    assert sweep("seed=1") == 1
    assert "result.json: is missing or damaged" in capsys.readouterr().out


def test_a_folder_named_by_hand_must_hold_the_same_job(capsys):
    named = "hydra.sweep.subdir=one"
    assert sweep("seed=1", named) == 0
    before = hashes(SWEEP / "one")
    assert sweep("seed=1", named) == 0
    assert "1 finished before" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"holds another run .*seed: 1 -> 2"):
        sweep("seed=2", named)
    assert hashes(SWEEP / "one") == before


NUMBERED = "hydra.sweep.subdir=${hydra.job.num}"


def test_folders_named_by_number_hold_the_jobs_of_one_grid():
    assert sweep("seed=1,2", NUMBERED) == 0
    before = hashes(SWEEP / "0")
    assert sweep("seed=1,2", NUMBERED) == 0
    assert set(table_of().values()) == {"skipped"}
    with pytest.raises(ConfigError, match=r"tiny/1 holds another run \(seed: 2 -> 3\)"):
        sweep("seed=1,3", NUMBERED)
    assert hashes(SWEEP / "0") == before


def test_another_run_in_a_folder_that_only_the_launcher_knows_is_no_result(capsys):
    named = "hydra.sweep.subdir=job${hydra.job.id}"
    assert sweep("seed=1", named) == 0
    before = hashes(SWEEP / "job0")
    capsys.readouterr()
    assert sweep("seed=2", named) == 1
    (row,) = json.loads((SWEEP / "sweep.json").read_text())["sweeps"][-1]["jobs"]
    assert (row["state"], set(row["figures"].values())) == ("failed", {None})
    assert "job0 holds another run (seed: 1 -> 2)" in row["error"]
    assert "1 jobs: 1 failed" in capsys.readouterr().out
    assert hashes(SWEEP / "job0") == before


def test_a_place_with_the_time_in_it_is_one_place(capsys):
    """Composed again when it is launched, the configuration would name another second."""
    arguments = ["hydra.sweep.dir=multirun/${now:%Y-%m-%d}/${now:%H-%M-%S-%f}", "seed=1,2"]
    planned = plan(["-m", *TINY, *arguments])
    (place,) = {job.folder.parent for job in planned.jobs}
    assert f"in {place}\n" in show_plan(planned)
    time.sleep(1.1)
    assert run_sweep(planned) == 0
    assert set(table_of(place).values()) == {"ok"}
    assert {path.name for path in place.iterdir()} == {*(job.run_id for job in planned.jobs), "sweep.json"}
    assert list(Path("multirun").glob("*/*")) == [place]


def test_a_name_with_the_time_in_it_is_one_name():
    planned = plan(["-m", *changed(TINY, "name='t${now:%S-%f}'", "seed=1,2")])
    assert run_sweep(planned) == 0
    (name,) = [path.name for path in Path("outputs/sweeps").iterdir()]
    texts = [(Path("outputs/sweeps") / name / job.run_id / "config.yaml").read_text() for job in planned.jobs]
    assert all(f"name: {name}\n" in text for text in texts)


LONG = changed(TINY, "trainer.init_epochs=40", "trainer.inc_epochs=40", "checkpoint.every_minutes=0.01")
"""Two of them that start at once are both at work for a while, however long a process takes to start."""
SHORT = changed(LONG, "trainer.init_epochs=12", "trainer.inc_epochs=12", "checkpoint.every_minutes=0.002")
"""Long enough to be stopped in the middle, one after the other."""


def start(*arguments: str, base: list[str] = LONG) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "cil.train", "-m", *base, "probe=false", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(condition, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_saved(folder: Path) -> bool:
    status = look(folder).status
    return status.get("state") == "running" and "checkpoint" in status


@pytest.mark.parametrize("signum", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.faults)])
def test_a_sweep_stopped_in_the_middle_goes_on(signum):
    seeds = "seed=1,2,3" if signum == signal.SIGTERM else "seed=1,2"
    jobs = plan(["-m", *SHORT, seeds]).jobs
    first, second, *later = (job.run_id for job in jobs)
    process = start(seeds, base=SHORT)
    wait_for(lambda: is_saved(jobs[1].folder), process)
    process.send_signal(signum)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == (143 if signum == signal.SIGTERM else -signal.SIGKILL)
    if signum == signal.SIGTERM:
        assert table_of() == {first: "ok", second: "interrupted"} | dict.fromkeys(later, "not started")
        assert "interrupted: stopped by SIGTERM" in out
    assert look(jobs[1].folder).state is State.interrupted
    untouched = hashes(jobs[0].folder)
    again = train("-m", *SHORT, "probe=false", seeds, cwd=Path.cwd())
    assert again.returncode == 0, again.stderr
    assert hashes(jobs[0].folder) == untouched
    assert table_of() == {first: "skipped", second: "ok"} | dict.fromkeys(later, "ok")
    assert "continues after" in again.stdout
    run_experiment(jobs[1], Path("alone"), resume=False)
    assert figures(jobs[1].folder) == figures(Path("alone"))


LAUNCHERS = {
    "joblib": ("joblib", []),
    "ray": ("ray", ["hydra.launcher.ray.remote.num_gpus=0", "hydra.launcher.ray.remote.num_cpus=1"]),
    "submitit_local": ("submitit", []),
}
"""hydra/launcher -> its plugin, and what it needs on a CPU."""


@pytest.mark.faults
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_two_jobs_at_once_one_of_them_killed(launcher):
    plugin, options = LAUNCHERS[launcher]
    pytest.importorskip(f"hydra_plugins.hydra_{plugin}_launcher")
    first, second = plan(["-m", *LONG, "seed=1,2"]).jobs
    process = start("seed=1,2", f"hydra/launcher={launcher}", *options)
    wait_for(lambda: is_saved(first.folder) and is_saved(second.folder), process)
    pids = [look(job.folder).status["pid"] for job in (first, second)]
    assert len({*pids, process.pid}) == 3
    os.kill(pids[0], signal.SIGKILL)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    assert "continues after" in (first.folder / "train.log").read_text() + out
    assert table_of() == {first.run_id: "ok", second.run_id: "ok"}
    run_experiment(first, Path("alone"), resume=False)
    assert figures(first.folder) == figures(Path("alone"))


@pytest.mark.faults
def test_stopping_a_parallel_sweep_saves_its_jobs():
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    found = plan(["-m", *LONG, "seed=1,2"]).jobs
    process = start("seed=1,2", "hydra/launcher=joblib")
    wait_for(lambda: all(is_saved(job.folder) for job in found), process)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 143, out
    assert set(table_of().values()) == {"interrupted"}
    for job in found:
        assert look(job.folder).status["state"] == "interrupted", "said by the run itself: it had time to save"
