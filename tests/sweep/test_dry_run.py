"""dry_run=true: shows, estimates, creates nothing."""

import json
import sys

import pytest

from cil.config.typed import to_yaml
from cil.planning.plan import plan
from cil.sweep import hours as estimate_module
from cil.sweep.dry_run import show_plan
from cil.sweep.hours import cpu_name, device_name
from tests.commands import train


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(estimate_module, "_gpu_names", list)


def finish(job, folder, hours=2.0, device=None, state="finished"):
    """A run's folder as if it had taken so long."""
    folder.mkdir(parents=True)
    result = {"seconds": 3600 * hours, "tasks": [{"train_seconds": 60}], "config_id": job.run_id}
    result |= {"device": {"name": device or cpu_name()}}
    (folder / "config.yaml").write_text(to_yaml(job.effective))
    (folder / "status.json").write_text(json.dumps({"state": state}))
    (folder / "result.json").write_text(json.dumps(result))


def grid(*more):
    return plan(["-m", *(more or ["ant_margin=0.1,0.2"]), "seed=1,2,3"])


def test_jobs_states_and_hours():
    planned = grid("ant_margin=0.2,0.3,0.3")
    first, second, third = planned.jobs[:3]
    finish(first, first.folder, hours=1.0)
    finish(second, second.folder, hours=2.0)
    third.folder.mkdir()
    (third.folder / "config.yaml").write_text(to_yaml(third.effective))
    (third.folder / "status.json").write_text(json.dumps({"state": "interrupted", "progress": {"share": 0.75}}))
    lines = show_plan(planned).splitlines()
    assert lines[1].split()[:2] == ["done", first.run_id]
    assert lines[3].split()[:3] == ["to", "continue", third.run_id]
    assert lines[7] == "6 jobs: 2 done, 1 to continue, 3 new, 3 more of the grid the same as one of these"
    # 1.5 hours each: a quarter of one that was interrupted, and three new ones
    assert lines[8] == f"about 4.9 CPU hours left, from 2 finished runs of the same kind on {cpu_name()}"
    assert lines[-1] == "dry run: nothing was started or created"


def test_what_is_merged_is_said():
    lines = show_plan(plan(["-m", "loss=infonce,ant", "ant_margin=0.1,0.3,0.5", "seed=1"])).splitlines()
    assert lines[0] == "all jobs: seed=1"
    assert [line.split()[2:] for line in lines[2:6]] == [
        ["loss=infonce"], *(["loss=ant", f"ant_margin={margin}"] for margin in ("0.1", "0.3", "0.5"))
    ]  # fmt: skip
    assert lines[6] == "4 jobs: 4 new, 2 more of the grid the same as one of these"
    assert lines[7].startswith("loss=infonce trains without a margin: ant_margin=0.1, 0.3, 0.5 are one run")


def test_a_finished_baseline_is_found_whatever_its_margin():
    (job,) = plan(["-m", "loss=infonce", "ant_margin=0.3", "seed=1"]).jobs
    finish(job, job.folder)
    text = show_plan(plan(["-m", "loss=infonce,ant", "ant_margin=0.1,0.5", "seed=1"]))
    assert "3 jobs: 1 done, 2 new" in text


def test_runs_of_another_kind_say_nothing():
    (job,) = plan(["seed=7"]).jobs
    for number, change in enumerate(["split=5-5", "trainer.inc_epochs=11", "backbone.projector_out=32"]):
        (other,) = plan([change]).jobs
        finish(other, job_folder(number))
    finish(job, job_folder(8), device="another machine")
    assert "no finished run of this kind" in show_plan(plan([]))
    finish(plan(["loss=infonce"]).jobs[0], job_folder(9), hours=0.5)
    assert f"about 0.5 CPU hours left, from 1 finished run of the same kind on {cpu_name()}" in show_plan(plan([]))


def job_folder(number):
    from pathlib import Path

    return Path("outputs/run") / str(number)


def test_a_mixture_says_for_how_many_nothing_is_known():
    finish(plan(["seed=7"]).jobs[0], job_folder(1), hours=3)
    text = show_plan(plan(["-m", "trainer.init_epochs=12,13,14"]))
    assert "about 3 CPU hours left" in text
    assert "; no finished run of this kind for 2 more" in text


def test_everything_done_needs_no_estimate():
    planned = grid()
    for job in planned.jobs:
        finish(job, job.folder)
    text = show_plan(planned)
    assert "6 jobs: 6 done" in text
    assert "hours" not in text


def test_gpus_are_called_by_their_names(monkeypatch):
    monkeypatch.setattr(estimate_module, "_gpu_names", lambda: ["NVIDIA A", "NVIDIA B"])
    names = {"auto": "NVIDIA A", "cuda": "NVIDIA A", "cuda:1": "NVIDIA B", "cuda:5": "cuda:5"}
    assert {device: device_name(device) for device in names} == names
    assert device_name("cpu") == cpu_name()
    finish(plan([]).jobs[0], job_folder(1), hours=2, device="NVIDIA A")
    assert "about 2 GPU hours left" in show_plan(plan(["seed=2"]))


def test_damaged_runs_are_passed_over():
    finish(plan([]).jobs[0], job_folder(1))
    (job_folder(1) / "result.json").write_text("[1]")
    finish(plan([]).jobs[0], job_folder(2))
    (job_folder(2) / "config.yaml").write_text("a: [")
    assert "no finished run of this kind" in show_plan(plan(["seed=2"]))


CHECK = "import sys; from cil import train; code = train.main(); print('torch' in sys.modules, code)"


def test_the_command_creates_nothing_and_imports_no_torch(tmp_path):
    import os
    import subprocess

    from tests.commands import PROJECT

    command = [sys.executable, "-c", CHECK, "-m", "loss=ant", "ant_margin=0.1,0.2", "seed=1,2,3", "dry_run=true"]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "False 0", done.stderr
    assert done.stdout.count("\nnew ") == 6
    assert list(tmp_path.iterdir()) == []


def test_single_runs_and_stored_ones(tmp_path):
    single = train("seed=4", "dry_run=true", cwd=tmp_path)
    assert (single.returncode, single.stderr) == (0, "")
    assert "1 job: 1 new" in single.stdout
    finish(plan(["seed=4"]).jobs[0], job_folder(1), state="interrupted")
    before = sorted(tmp_path.rglob("*"))
    assert "1 job: 1 to continue" in train(f"resume={job_folder(1)}", "dry_run=true", cwd=tmp_path).stdout
    assert "1 job: 1 new" in train(f"rerun={job_folder(1)}", "seed=5", "dry_run=true", cwd=tmp_path).stdout
    assert sorted(tmp_path.rglob("*")) == before
