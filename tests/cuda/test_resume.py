"""trainer.deterministic on CUDA: a continued run equals the unbroken one, bit for bit."""

import pytest
import torch

from cil.engine.build import build_trainer
from tests.devices import deterministic, main_job
from tests.engine.test_loop import Watcher, assert_continues, make_trainer
from tests.engine.test_resume import Stop, StopAt

POINTS = [("step", 4), ("step", 17), ("task", 1), ("evaluation", 8)]
SHORT = (
    "dataset.max_train_per_class=26",
    "dataset.max_test_per_class=4",
    "memory.size=400",
    "trainer.max_tasks=2",
    "trainer.init_epochs=2",
    "trainer.inc_epochs=1",
    "optimizer.init_milestones=[]",
    "optimizer.inc_milestones=[]",
)
"""Two tasks of the main job in a few steps: two epochs of three steps, then one of four."""


BANK = "augment.view_bank=2"
SEVERAL = (
    ["method=tagfex"],
    ["method=memo"],
    ["method=foster"],
    ["method=bic"],
    [BANK],
    [BANK, "trainer.frozen=folded"],
)
"""A teacher, branches, a network that is replaced, a second phase, remembered features."""
CASES = [
    pytest.param([], "cpu", id="cpu"),
    *(pytest.param(given, "cuda", id=f"{','.join(given)}-cuda", marks=pytest.mark.cuda) for given in SEVERAL),
]
"""On the CPU tests/engine/test_resume.py goes through every method."""


@pytest.mark.parametrize(("given", "device"), CASES)
def test_a_continued_run_of_digits_equals_the_unbroken_one(given, device):
    settings = ("trainer.eval_every=1", *given, "memory.size=80", f"device={device}")
    with deterministic(device):
        whole = make_trainer(*settings, "trainer.deterministic=true")
        whole.run()
        for kind, count in POINTS:
            first = make_trainer(*settings, "trainer.deterministic=true", observer=StopAt(kind, count))
            with pytest.raises(Stop):
                first.run()
            second = make_trainer(*settings, "trainer.deterministic=true")
            second.load_state_dict(first.observer.state)
            second.run()
            assert_continues(second, whole)


@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_continued_main_job_equals_the_unbroken_one(precision):
    settings = (*SHORT, f"trainer.precision={precision}", "trainer.deterministic=true")
    config, data = main_job("cuda", *settings)
    with deterministic("cuda"):
        whole = build_trainer(config, data, Watcher())
        whole.run()
        again = build_trainer(config, data, Watcher())
        again.run()
        assert_continues(again, whole)
        for kind, count in (("step", 2), ("step", 8)):
            first = build_trainer(config, data, StopAt(kind, count))
            with pytest.raises(Stop):
                first.run()
            second = build_trainer(config, data, Watcher())
            second.load_state_dict(first.observer.state)
            second.run()
            assert_continues(second, whole)
    assert torch.isfinite(torch.tensor([record["loss/total"] for record in whole.observer.epochs])).all()
