"""Peak memory of training steps of TagFex whose loss is back-propagated in parts, and as a whole.

Each side runs in a process of its own, for its peak is that of the process; `before` is what it had before the first
step (data, networks, PyTorch itself).

    python scripts/benchmarks/parts_memory.py dataset=cifar100 split=10-10 --task 1 trainer.batch_size=32
"""

import argparse
import json
import resource
import subprocess
import sys
from contextlib import suppress

from cil.engine.build import build_trainer
from cil.engine.observer import Silent
from cil.methods.base import Method
from cil.methods.tagfex import TagFex
from cil.planning.plan import compose_jobs

SIDES = ("whole", "parts")
STEPS = 2
"""The momentum and gradients of the first one are there in the second."""


class Enough(Exception):
    """All steps have been taken."""


class Steps(Silent):
    """A trainer's observer that stops it after STEPS steps."""

    left = STEPS

    def on_step(self, progress: object, state: object) -> None:
        """A step."""
        del progress, state
        self.left -= 1
        if not self.left:
            raise Enough


def peak() -> float:
    """Of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def measure(overrides: list[str], task: int, side: str) -> tuple[float, float]:
    """GB before and after the steps of `task`."""
    if side == "whole":
        TagFex.parts = Method.parts  # type: ignore[method-assign]
    (job,) = compose_jobs(["device=cpu", "method=tagfex", *overrides])
    trainer = build_trainer(job.config, observer=Steps())
    for earlier in trainer.tasks[: task - 1]:
        trainer.method.begin_task(earlier)
    trainer.finished_tasks = task - 1
    before = peak()
    with suppress(Enough):
        trainer.run()
    return before, peak()


def main() -> None:
    """Parse, measure in turn, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="settings of the run, as for python -m cil.train")
    parser.add_argument("--task", type=int, default=1, help="the task whose steps are taken, from 1")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_intermixed_args()
    if args.side:
        print(json.dumps(measure(args.overrides, args.task, args.side)))
        return
    for side in SIDES:
        command = [sys.executable, __file__, *sys.argv[1:], "--side", side]
        output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        before, after = json.loads(output.splitlines()[-1])
        print(f"{side:6s} {after:.2f} GB, {after - before:.2f} GB above the {before:.2f} GB before the first step")


if __name__ == "__main__":
    main()
