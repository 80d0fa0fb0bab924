"""One training step from a given state, by one process of several: `python -m tests.distributed.steps IN OUT`.

IN: a file of CASE -> (overrides, state); OUT: where the first process writes CASE -> what the step has made.
"""

import sys
from contextlib import suppress
from typing import Any

import torch

from cil.distributed import ranks
from cil.distributed.launch import launched
from cil.engine.build import build_trainer
from cil.engine.loop import Trainer
from cil.engine.observer import Silent
from cil.planning.plan import compose_jobs
from cil.run.together import join

TINY = ("device=cpu", "dataset.max_train_per_class=12", "dataset.max_test_per_class=4", "memory.size=60")
TINY += ("trainer.init_epochs=1", "trainer.inc_epochs=1", "trainer.max_tasks=2", "tracking.similarity_histogram=false")


class Enough(Exception):
    """The step has been made."""


class OneStep(Silent):
    """Stops a trainer after `steps` steps, with a copy of what the network then is."""

    def __init__(self, steps: int = 1) -> None:
        self.left = steps

    def on_step(self, progress: object, state: object) -> None:
        del progress, state
        self.left -= 1
        if self.left == 0:
            raise Enough


def make(overrides: list[str], steps: int) -> Trainer:
    (job,) = compose_jobs([*TINY, *overrides])
    return build_trainer(job.config, observer=OneStep(steps))


def copied(value: Any) -> Any:
    """Tensors of a state as they are now."""
    if isinstance(value, dict):
        return {key: copied(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [copied(entry) for entry in value]
    return value.clone() if isinstance(value, torch.Tensor) else value


def state_before(overrides: list[str], step: int) -> dict[str, Any]:
    """The state of a run of one process before its 1-based `step`."""
    trainer = make(overrides, step - 1)
    if step > 1:
        with suppress(Enough):
            trainer.run()
    return copied(trainer.state_dict())


def next_step(overrides: list[str], state: dict[str, Any]) -> dict[str, Any]:
    """The step from `state` on: parameters and buffers, momentum, and the loss terms."""
    trainer = make(overrides, 1)
    trainer.load_state_dict(copied(state))
    with suppress(Enough), ranks.together():
        trainer.run()
    after = trainer.state_dict()
    momentum = {str(k): v["momentum_buffer"] for k, v in after["optimizer"]["state"].items()}
    return copied({"network": after["method"]["network"], "momentum": momentum, "stats": after["epoch_stats"]})


def main() -> None:
    torch.set_num_threads(1)
    launch = launched()
    assert launch is not None
    join(launch)
    cases = torch.load(sys.argv[1], weights_only=True)
    done = {name: next_step(overrides, state) for name, (overrides, state) in cases.items()}
    if launch.rank == 0:
        torch.save(done, sys.argv[2])


if __name__ == "__main__":
    main()
