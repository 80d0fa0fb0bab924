"""A training that leaves the numbers stops, says where and why, and keeps the last good checkpoint."""

import math

import pytest
import torch

from cil.records.checkpoint import read_checkpoint
from tests.faults.conftest import read_batches
from tests.faults.runs import EVERY_STEP, assert_clean_exit, checkpoints, resume, status, train


@pytest.mark.parametrize("check_every", [4, pytest.param(20, marks=pytest.mark.faults)])
def test_an_absurd_learning_rate(tmp_path, check_every):
    folder, batches = tmp_path / "run", tmp_path / "batches"
    settings = ("optimizer.lr=1e30", "trainer.init_epochs=40", f"trainer.check_every={check_every}")
    ended = train(folder, *settings, plan={"batches": str(batches)})
    assert_clean_exit(ended, 1)
    message = ended.stderr.splitlines()[-1]
    assert "training diverged in task 1" in message
    assert "loss/total" in message.partition(" not finite")[0]
    assert "loss/cls=" in message and "loss/contrast=" in message
    found = status(folder)
    assert found["state"] == "failed"
    assert found["error"] in message
    place = found["where"]
    assert place.keys() == {"task", "epoch", "step"}
    values = found["values"]
    assert {"loss/total", "loss/cls", "loss/contrast", "gradient norm"} <= values.keys()
    assert all(value is None or math.isfinite(value) for value in values.values())
    assert None in values.values(), "what is not finite has no number in JSON"
    steps = (place["epoch"] - 1) * found["progress"]["steps"] + place["step"]
    assert steps <= len(read_batches(batches)) <= steps + check_every


@pytest.mark.faults
def test_the_last_good_checkpoint_is_kept(tmp_path):
    """The rate explodes in the third epoch; every state saved before is finite."""
    folder = tmp_path / "run"
    settings = ("trainer.init_epochs=4", "optimizer.init_milestones=[2]", "optimizer.gamma=1e30")
    ended = train(folder, EVERY_STEP, *settings)
    assert_clean_exit(ended, 1)
    where = status(folder)["where"]
    assert (where["task"], where["epoch"]) == (1, 3)
    kept = checkpoints(folder)
    assert len(kept) == 2
    first = read_checkpoint(kept[0])["trainer"]["method"]["network"]
    assert all(torch.isfinite(tensor).all() for tensor in first.values())
    again = resume(folder)
    assert_clean_exit(again, 1)
    assert status(folder)["where"] == where, "the same step fails again"
