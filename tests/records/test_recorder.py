import json

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cil.records.recorder import Recorder
from cil.records.tensorboard import scalars

RECORD = {
    "kind": "epoch",
    "task": 2,
    "step": 7,
    "loss/total": 1.5,
    "contrast/gap": float("nan"),
    "test/top1": None,
    "lr": 0.1,
    "facts": {"a": 1},
}


def test_scalars_are_the_measured_tags():
    assert scalars(RECORD) == {"loss/total": 1.5, "lr": 0.1}


def test_both_files_hold_the_same_figures(tmp_path):
    recorder = Recorder(tmp_path / "metrics.jsonl", tmp_path / "tensorboard")
    recorder.add(RECORD)
    recorder.close()
    line = (tmp_path / "metrics.jsonl").read_text()
    assert json.loads(line) == RECORD | {"contrast/gap": None}
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert sorted(events.Tags()["scalars"]) == ["loss/total", "lr"]
    assert [(e.step, round(e.value, 6)) for e in events.Scalars("lr")] == [(7, 0.1)]
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1


def test_without_tensorboard_only_the_lines_are_written(tmp_path):
    recorder = Recorder(tmp_path / "metrics.jsonl", None)
    recorder.add(RECORD)
    recorder.close()
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]
