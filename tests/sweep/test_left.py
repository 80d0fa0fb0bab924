"""How long a sweep still takes."""

import json

import pytest

from cil.sweep import left as left_module
from cil.sweep.hours import cpu_name, hours_by_kind
from cil.sweep.left import SweepLeft, Work, work_of
from tests.sweep.test_dry_run import finish, grid


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cil.sweep.hours._gpu_names", list)


def write(folder, state, **facts):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "status.json").write_text(json.dumps({"state": state} | facts))


def test_hours_of_the_jobs_that_are_left():
    jobs = [(job, job.folder) for job in grid("trainer.init_epochs=5,10").jobs]
    assert work_of(jobs)[0].folder.is_absolute()
    left = SweepLeft(work_of(jobs))
    assert left.seconds() is None, "nothing is known yet"
    (short, folder), *_ = jobs
    finish(short, folder, hours=1)
    assert left.seconds() == pytest.approx(3600 * 5), "of the long ones as of the short ones, for want of better"
    finish(*jobs[3], hours=2)
    assert left.seconds() == pytest.approx(3600 * (2 * 1 + 2 * 2))
    write(jobs[4][1], "interrupted", progress={"share": 0.75})
    assert left.seconds() == pytest.approx(3600 * (2 * 1 + 0.25 * 2 + 2))
    write(jobs[5][1], "failed")
    assert left.seconds() == pytest.approx(3600 * (2 * 1 + 0.25 * 2)), "one that failed is not tried again"
    for job, folder in jobs[1:3]:
        finish(job, folder)
    finish_all = [folder for _, folder in jobs[4:]]
    for folder in finish_all:
        write(folder, "failed")
    assert left.seconds() == 0


def test_earlier_runs_count_until_the_sweep_knows_better(tmp_path):
    jobs = [(job, job.folder) for job in grid().jobs]
    finish(jobs[0][0], tmp_path / "outputs/run/1", hours=3)
    earlier = hours_by_kind([tmp_path / "outputs"])
    left = SweepLeft(work_of(jobs), earlier)
    assert left.seconds() == pytest.approx(3600 * 6 * 3)
    finish(*jobs[0], hours=1)
    assert left.seconds() == pytest.approx(3600 * 5 * 1)


def test_jobs_that_run_at_once_share_the_time(monkeypatch, tmp_path):
    jobs = [Work(tmp_path / str(number), "kind") for number in range(5)]
    for job in jobs[:2]:
        write(job.folder, "running", progress={"share": 0.5})
    left = SweepLeft(jobs, {"kind": [1.0]})
    monkeypatch.setattr("cil.records.states.is_locked", lambda folder: True)
    assert left.seconds(but=jobs[0].folder) == pytest.approx(3600 * 4 / 2)
    assert left.seconds(but=jobs[2].folder) == pytest.approx(3600 * 4 / 3), "the two and the one that asks"


def test_a_device_is_asked_for_its_name_once(monkeypatch):
    asked = []
    monkeypatch.setattr(left_module, "device_name", lambda device: asked.append(device) or cpu_name())
    work_of((job, job.folder) for job in grid().jobs)
    assert asked == ["auto"]
