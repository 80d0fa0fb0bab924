"""A training step on the CPU, with and without what a run does to keep freed memory (cil/run/process.py).

The network of the given settings is grown to `--task`, and the trainer takes steps of that task on the real images:
augmentation, forward, backward, optimiser. The two sides run in turn, each time in a process of its own, because the
setting cannot be undone in one. The first step of a process warms up and is not counted. Memory is the peak of the
process.

    python scripts/benchmarks/step.py dataset=cifar100 split=10-10 --task 10 --steps 3 --rounds 3
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from contextlib import suppress

from cil.engine.build import build_trainer
from cil.engine.observer import Silent
from cil.planning.plan import compose_jobs
from cil.run.process import keep_freed_memory

SIDES = ("default", "kept")


class Enough(Exception):
    """All steps have been taken."""


class Stopwatch(Silent):
    """A trainer's observer that notes the time of each step and stops after `steps` of them."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.times = [time.perf_counter()]

    def on_step(self, progress: object, state: object) -> None:
        """A step."""
        del progress, state
        self.times.append(time.perf_counter())
        if len(self.times) > self.steps:
            raise Enough


def measure(overrides: list[str], task: int, steps: int) -> dict[str, object]:
    """Seconds of each counted step, peak memory in GB, and the share of the CPU time that went to the kernel."""
    (job,) = compose_jobs(["device=cpu", *overrides])
    watch = Stopwatch(steps + 1)
    trainer = build_trainer(job.config, observer=watch)
    for earlier in trainer.tasks[: task - 1]:
        trainer.method.begin_task(earlier)
    trainer.finished_tasks = task - 1
    before = resource.getrusage(resource.RUSAGE_SELF)
    with suppress(Enough):
        trainer.run()
    after = resource.getrusage(resource.RUSAGE_SELF)
    kernel, user = after.ru_stime - before.ru_stime, after.ru_utime - before.ru_utime
    seconds = [end - start for start, end in zip(watch.times[1:-1], watch.times[2:], strict=True)]
    return {"seconds": seconds, "gigabytes": after.ru_maxrss / 1e6, "kernel": kernel / (kernel + user)}


def main() -> None:
    """Parse, measure in turn, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="settings of the run, as for python -m cil.train")
    parser.add_argument("--task", type=int, default=1, help="the task whose step is timed, from 1")
    parser.add_argument("--steps", type=int, default=3, help="timed steps in each process")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each side")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_intermixed_args()
    if args.side:
        if args.side == "kept" and not keep_freed_memory():
            parser.error("this process cannot be told to keep freed memory (not glibc, or MALLOC_ variables are set)")
        print(json.dumps(measure(args.overrides, args.task, args.steps)))
        return

    found: dict[str, list[dict]] = {side: [] for side in SIDES}
    for _ in range(args.rounds):
        for side in SIDES:
            command = [sys.executable, __file__, *sys.argv[1:], "--side", side]
            output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            found[side].append(json.loads(output.splitlines()[-1]))
    medians = {}
    for side, processes in found.items():
        seconds = [value for one in processes for value in one["seconds"]]
        medians[side] = statistics.median(seconds)
        memory = max(one["gigabytes"] for one in processes)
        kernel = statistics.median(one["kernel"] for one in processes)
        print(
            f"{side:8s} {medians[side]:7.2f} s a step, median ({min(seconds):.2f} to {max(seconds):.2f}); "
            f"{100 * kernel:.0f} % of the CPU time in the kernel; peak memory {memory:.2f} GB"
        )
    print(f"ratio    {medians['default'] / medians['kept']:7.2f}")


if __name__ == "__main__":
    main()
