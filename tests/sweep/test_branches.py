"""A sweep of branches: one first task, several ways on from there."""

import json
import shutil
from pathlib import Path

import yaml

from cil.planning.plan import plan
from cil.run.experiment import run_experiment
from cil.sweep.dry_run import show_plan
from cil.sweep.hours import hours_by_kind, kind_of
from cil.sweep.runner import run_sweep
from tests.commands import changed
from tests.sweep.sweeps import SWEEP, TINY, figures, hashes, table_of


def test_a_sweep_of_branches_runs_skips_and_equals_single_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = changed(TINY, "trainer.max_tasks=1", "checkpoint.keep_tasks=true", "optimizer.lr=0.01")
    run_experiment(plan(first).jobs[0], Path("first"), resume=False)
    arguments = ["rerun=first", "from_task=1", "trainer.max_tasks=2"]
    command = ["-m", *arguments, "ant_margin=0.1,0.3"]
    assert "2 jobs: 2 new" in show_plan(plan([*command, "dry_run=true"]))
    assert run_sweep(plan(command)) == 0
    planned = plan([*arguments, "ant_margin=0.3"])
    run_experiment(planned.jobs[0], Path("single"), resume=False)
    folder = SWEEP / planned.jobs[0].run_id
    assert figures(folder) == figures(Path("single"))
    content = json.loads((SWEEP / "sweep.json").read_text())
    assert content["sweeps"][0]["command"] == ["-m", "trainer.max_tasks=2", "ant_margin=0.1,0.3", *arguments[:2]]
    assert content["sweeps"][0]["swept"] == {"ant_margin": ["0.1", "0.3"]}
    before = hashes(folder)
    shutil.rmtree("first/checkpoints")  # what is finished needs it no more
    assert run_sweep(plan(command)) == 0
    assert set(table_of().values()) == {"skipped"} and hashes(folder) == before
    _check_hours(folder)


def _check_hours(folder):
    """Those of the branch's own task, in a kind of their own."""
    config = yaml.safe_load((folder / "config.yaml").read_text())
    result = json.loads((folder / "result.json").read_text())
    name = result["device"]["name"]
    assert hours_by_kind([SWEEP.parent])[kind_of(config, name)]
    config["branch"] = {"run": None, "run_id": None, "task": None}
    assert kind_of(config, name) not in hours_by_kind([SWEEP.parent])
    del config["branch"]  # as earlier versions wrote it
    assert kind_of(config, name).splitlines()[1] == "None"


def test_a_sweep_around_a_stored_configuration_from_its_first_task(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("stored").mkdir()
    from cil.config.typed import to_yaml

    (job,) = plan([*changed(TINY, "trainer.max_tasks=1", "optimizer.lr=0.01")]).jobs
    Path("stored/config.yaml").write_text(to_yaml(job.effective))
    assert run_sweep(plan(["-m", "rerun=stored", "seed=1,2"])) == 0
    assert sorted(path.name for path in SWEEP.iterdir() if path.is_dir()) == sorted(
        plan([*changed(TINY, "trainer.max_tasks=1", "optimizer.lr=0.01"), f"seed={seed}"]).jobs[0].run_id
        for seed in (1, 2)
    )
