"""Tags and notes of a run: where they stand, and how they change."""

import json
from pathlib import Path

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cil.planning.plan import plan
from cil.records.tags import retag, tags_and_notes
from cil.sweep.dry_run import show_plan
from tests.commands import changed, train
from tests.sweep.sweeps import TINY, hashes, sweep

LABELS = ["tags=[first,x/1]", 'notes="tried, once"']
ONE_TASK = changed(TINY, "trainer.max_tasks=1", "tracking.tensorboard=true", "hydra.run.dir=run")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run with tags and notes."""
    cwd = tmp_path_factory.mktemp("labels")
    done = train(*ONE_TASK, *LABELS, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return cwd / "run"


def said_by(folder: Path) -> list[tuple]:
    """Tags and notes as the three files have them."""
    files = [json.loads((folder / name).read_text()) for name in ("status.json", "result.json")]
    files.append(yaml.safe_load((folder / "config.yaml").read_text()))
    return [(content["tags"], content["notes"]) for content in files]


def test_every_file_of_the_run_has_them(run):
    assert said_by(run) == [(["first", "x/1"], "tried, once")] * 3
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"tensors": 0}).Reload()
    texts = {
        tag.removesuffix("/text_summary"): events.Tensors(tag)[0].tensor_proto.string_val[0].decode()
        for tag in events.Tags()["tensors"]
        if tag.endswith("/text_summary")
    }
    assert texts == {"tags": "first, x/1", "notes": "tried, once"}


def test_a_finished_run_gets_others_and_keeps_all_else(run):
    before = {name: json.loads((run / name).read_text()) for name in ("status.json", "result.json")}
    again = train("resume=run", "tags=[second]", "notes=null", cwd=run.parent)
    assert again.returncode == 0, again.stderr
    assert "has the new tags and notes" in again.stdout
    assert said_by(run) == [(["second"], None)] * 3
    for name, content in before.items():
        assert json.loads((run / name).read_text()) == content | {"tags": ["second"], "notes": None}
    renamed = train("resume=run", "name=other", cwd=run.parent)
    assert "run: is finished and keeps the name " in renamed.stdout
    (job,) = plan(["resume=" + str(run)]).jobs
    before = hashes(run)
    assert not retag(run, job.config)
    assert hashes(run) == before


def test_a_dry_run_shows_them():
    lines = show_plan(plan([*TINY, *LABELS])).splitlines()
    assert "tags: first, x/1" in lines and "notes: tried, once" in lines
    assert tags_and_notes(plan(TINY).jobs[0].config) == {}


def test_a_finished_job_of_a_sweep_keeps_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ["trainer.max_tasks=1", "seed=1"]
    assert sweep(*small, "tags=[first]") == 0
    before = hashes(tmp_path / "outputs")
    assert sweep(*small, "tags=[second]") == 0
    after = hashes(tmp_path / "outputs")
    changes = {Path(name).name for name in before if before[name] != after[name]}
    assert changes == {"sweep.json"}
