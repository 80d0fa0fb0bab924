"""The table of a sweep and sweep.json."""

import json
from dataclasses import replace

import pytest

from cil.config.typed import to_yaml
from cil.planning.plan import Plan, plan
from cil.records.states import State
from cil.sweep.summary import Row, sweep_table, swept_keys, write_sweep_files


def write_run(job, folder, state, result=None, **facts):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(to_yaml(job.effective))
    (folder / "status.json").write_text(json.dumps({"state": state} | facts))
    if result is not None:
        (folder / "result.json").write_text(json.dumps(result))


@pytest.fixture
def rows(tmp_path):
    """One row of every kind."""
    jobs = plan(["-m", "loss=ant", "seed=1,2,3,4,5,6"]).jobs
    folders = [tmp_path / job.run_id for job in jobs]
    figures = {"incremental_avg_top1": 61.234, "last_top1": 50.0, "forgetting_top1": None}
    write_run(jobs[0], folders[0], "finished", figures)
    write_run(jobs[1], folders[1], "finished", figures)
    write_run(jobs[2], folders[2], "failed", error="it diverged")
    write_run(jobs[3], folders[3], "interrupted")
    write_run(jobs[4], folders[4], "running")
    before = [State.new, State.finished, State.new, State.new, State.new, State.new]
    return [Row.of(job, folder, was, None) for job, folder, was in zip(jobs, folders, before, strict=True)]


def test_states(rows):
    assert [row.state for row in rows] == ["ok", "skipped", "failed", "interrupted", "interrupted", "not started"]
    assert [row.good for row in rows] == [True, True, False, False, False, False]


@pytest.mark.parametrize("state", ["finished", "interrupted", "failed", "running"])
@pytest.mark.parametrize("what", ["another run", "no config.yaml", "a damaged config.yaml", "another result"])
def test_what_another_run_left_is_not_this_jobs(tmp_path, state, what):
    job, other = plan(["-m", "seed=1,2"]).jobs
    ran = other if what == "another run" else job
    noted = "0" * 12 if what == "another result" else ran.run_id
    write_run(ran, tmp_path, state, {"incremental_avg_top1": 61.2, "config_id": noted})
    if what == "no config.yaml":
        (tmp_path / "config.yaml").unlink()
    elif what == "a damaged config.yaml":
        (tmp_path / "config.yaml").write_text("seed: [")
    row = Row.of(job, tmp_path, State.new, None)
    if what == "another result" and state != "finished":
        return  # only a finished run's result is read
    assert (row.state, row.good, set(row.figures.values())) == ("failed", False, {None})
    words = {"another run": "seed: 2 -> 1", "no config.yaml": "no config.yaml", "another result": "result of another"}
    assert words.get(what, "cannot be read") in row.error


def test_the_table(rows):
    text = sweep_table(rows, ["seed has no effect"], 65)
    lines = text.splitlines()
    assert lines[0] == "warning: seed has no effect"
    assert lines[1] == "all jobs: loss=ant"
    assert lines[2].split() == ["state", "folder", "average", "last", "forgetting", "NME", "average", "settings"]
    assert lines[3].split() == ["ok", rows[0].id, "61.23", "50.00", "-", "-", "seed=1"]
    assert f"failed: {rows[2].id}: it diverged" in lines
    assert lines[-1] == "6 jobs: 1 ok, 1 skipped, 1 failed, 2 interrupted, 1 not started; 01:05"
    assert not any(line.endswith(" ") for line in lines)


def test_a_job_is_called_by_its_label(rows):
    named = sweep_table([replace(row, label=f"seed={i}") for i, row in enumerate(rows)], [], 1)
    assert named.splitlines()[2].endswith("  seed=0")


def test_why_a_job_did_not_start_is_told(tmp_path):
    (job,) = plan(["-m", "seed=1"]).jobs
    row = Row.of(job, tmp_path / "none", State.new, "already being worked on")
    assert (row.state, row.error) == ("failed", "already being worked on")


def test_swept_keys_count_copies():
    jobs = plan(["-m", "loss=infonce", "loss.ant_beta=0.5,1", "seed=2,1"]).jobs
    assert swept_keys(jobs) == {"loss.ant_beta": ["0.5", "1"], "seed": ["2", "1"]}


def write(folder, arguments, warnings=()):
    jobs = plan(arguments).jobs
    rows = []
    for job in jobs:
        write_run(job, folder / job.run_id, "finished", {})
        rows.append(Row.of(job, folder / job.run_id, State.new, None))
    write_sweep_files(Plan(jobs, argv=arguments), rows, warnings)
    return json.loads((folder / "sweep.json").read_text())


def test_the_file_grows_with_the_grid_and_keeps_other_sweeps(tmp_path):
    write(tmp_path, ["-m", "seed=1,2"], ["first"])
    grown = write(tmp_path, ["-m", "seed=1,2,3"], ["second"])
    assert [entry["command"] for entry in grown["sweeps"]] == [["-m", "seed=1,2,3"]]
    assert grown["warnings"] == ["second"]
    both = write(tmp_path, ["-m", "loss=ant,infonce"], ["second", "third"])
    assert [len(entry["jobs"]) for entry in both["sweeps"]] == [3, 2]
    assert both["warnings"] == ["second", "third"]
    assert both["sweeps"][1]["swept"] == {"loss": ["ant", "infonce"]}


def test_what_is_merged_stands_in_the_file(tmp_path):
    planned = plan(["-m", "loss=infonce", "ant_margin=0.1,0.3"])
    rows = [Row.of(job, tmp_path / job.run_id, State.new, None) for job in planned.jobs]
    write_sweep_files(replace(planned, argv=[]), rows, [])
    (entry,) = json.loads((tmp_path / "sweep.json").read_text())["sweeps"]
    assert entry["notes"] == planned.notes != []
    assert entry["jobs"][0]["copies"] == [["loss=infonce", "ant_margin=0.3"]]
    assert entry["swept"] == {"ant_margin": ["0.1", "0.3"]}


def test_a_broken_file_is_replaced(tmp_path):
    (tmp_path / "sweep.json").write_text("{")
    assert len(write(tmp_path, ["-m", "seed=1"])["sweeps"]) == 1
