"""Which runs are of one kind, so that one tells how long the other takes."""

import json

import pytest

from cil.config.typed import to_yaml
from cil.planning.plan import plan
from cil.sweep.hours import device_name, estimate, hours_by_kind, kind_of


def effective(*overrides: str) -> dict:
    return plan(["device=cpu", *overrides]).jobs[0].effective


@pytest.mark.parametrize(
    "override",
    [
        "trainer.micro_batches=2",
        "trainer.frozen=folded",
        "trainer.compile=true",
        "trainer.channels_last=true",
        "trainer.deterministic=true",
        "trainer.eval_every=1",
        "loss.chunk_rows=64",
        "prune.ratio=0.5",
    ],
)
def test_what_changes_the_time_makes_another_kind(override):
    assert kind_of(effective(override), "cpu") != kind_of(effective(), "cpu")


@pytest.mark.parametrize(
    ("group", "key", "value"),
    [("dataset", "pack_side", 256), ("dataset", "resident_gb", 2.0), ("augment", "crop_resampling", "torch")],
)
def test_so_does_where_images_come_from(group, key, value):
    config = effective()
    config[group][key] = value
    assert kind_of(config, "cpu") != kind_of(effective(), "cpu")


def test_what_does_not_is_of_one_kind():
    assert kind_of(effective("seed=3", "optimizer.lr=0.01"), "cpu") == kind_of(effective(), "cpu")


def test_runs_of_several_processes_are_no_ground_for_one(tmp_path, monkeypatch):
    (job,) = plan(["device=cpu"]).jobs
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text(to_yaml(job.effective))
    device = {"name": device_name("cpu"), "process_counts": [2]}
    result = {"device": device, "seconds": 7200, "tasks": [{"train_seconds": 7200}]}
    (folder / "result.json").write_text(json.dumps(result))
    assert estimate([(job, 1.0)], [tmp_path]).unknown == 1
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert estimate([(job, 1.0)], [tmp_path]).hours == 2
    del device["process_counts"]
    (folder / "result.json").write_text(json.dumps(result))
    assert estimate([(job, 1.0)], [tmp_path]).unknown == 1
    monkeypatch.delenv("WORLD_SIZE")
    assert estimate([(job, 1.0)], [tmp_path]).hours == 2
    assert len(hours_by_kind([tmp_path])) == 1
