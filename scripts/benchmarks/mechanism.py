"""What `tracking.mechanism_every` costs: the look at the fixed batch, in turn with the epochs it stands between.

The run of the given settings looks after every epoch (`tracking.mechanism_every=1`), so that epoch and look are timed
in turn: the epoch without the look, the look with the making of its batch. What a larger N costs follows:
one look in N epochs. A second run with `tracking.mechanism_every=0` shows that nothing looks when it is off.

    python scripts/benchmarks/mechanism.py experiment=mini_cifar dataset.root=data/cifar100 --epochs 4 --tasks 2
"""

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from cil.bench.machine import facts
from cil.config.schema import RunConfig
from cil.data.training import TrainingData
from cil.engine.build import build_data, resolve_device
from cil.engine.loop import Trainer
from cil.engine.observer import Silent
from cil.methods import make_method
from cil.planning.plan import compose_jobs

PUBLISHED_STEPS = (40, 55)
"""Training steps in an epoch of CIFAR-100 10-10 at full size: of task 1, and of later ones with exemplars."""


class Watched(Trainer):
    """A trainer that keeps (task, seconds) of every epoch and of every look."""

    def __init__(self, config: RunConfig, data: TrainingData) -> None:
        self.epochs: list[tuple[int, float]] = []
        self.looks: list[tuple[int, float]] = []
        super().__init__(config, data, make_method(config), resolve_device(config.device), Silent())
        # Others may be at work on a CPU: there the processor's time for this process counts.
        self.clock = time.process_time if self.device.type == "cpu" else time.perf_counter

    def _run_epoch(self, stretch: Any, epoch: int, task_started: float) -> dict[str, Any]:
        started, looks = self.clock(), len(self.looks)
        record = super()._run_epoch(stretch, epoch, task_started)
        seconds = self.clock() - started - sum(seconds for _, seconds in self.looks[looks:])
        self.epochs.append((stretch.task.number, seconds))
        return record

    def _mechanism(self, images: Any, key: Any) -> dict[str, Any]:
        started = self.clock()
        found = super()._mechanism(images, key)
        self.looks.append((key.task, self.clock() - started))
        return found


def trained(config: RunConfig, data: TrainingData, every: int) -> Watched:
    """A run with a look every so many epochs."""
    trainer = Watched(replace(config, tracking=replace(config.tracking, mechanism_every=every)), data)
    trainer.run()
    return trainer


def of_task(values: list[tuple[int, float]], task: int) -> list[float]:
    """The seconds of one task, without the first, which warms up."""
    return [seconds for number, seconds in values if number == task][1:]


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="settings of the run, as for python -m cil.train")
    parser.add_argument("--epochs", type=int, default=4, help="epochs of each task, of which the first does not count")
    parser.add_argument("--tasks", type=int, default=2)
    parser.add_argument("--every", type=int, default=10, help="the N whose cost is told")
    parser.add_argument("--out", type=Path, help="a file for scripts/benchmarks_page.py")
    args = parser.parse_intermixed_args()
    if args.epochs < 2:
        parser.error("--epochs: the first one does not count; at least 2")
    epochs = [f"trainer.{name}_epochs={args.epochs}" for name in ("init", "inc")]
    milestones = [f"optimizer.{name}_milestones=[]" for name in ("init", "inc")]
    (job,) = compose_jobs([*args.overrides, *epochs, *milestones, f"trainer.max_tasks={args.tasks}"])
    data = build_data(job.config)
    begun = facts(resolve_device(job.config.device))
    trainer = trained(job.config, data, every=1)
    title = (
        "task",
        "steps an epoch",
        "epoch, s",
        "look, s",
        "a look in steps",
        f"share of the time at N = {args.every}",
    )
    rows: list[tuple[str, ...]] = [title]
    in_steps = []
    for task in trainer.tasks:
        epoch, look = of_task(trainer.epochs, task.number), of_task(trainer.looks, task.number)
        steps = trainer.workload.steps[task.number][0]
        ratio = statistics.median(b / a for a, b in zip(epoch, look, strict=True))
        in_steps.append(steps * ratio)
        cells = (f"{statistics.median(v):.2f} ({min(v):.2f} to {max(v):.2f})" for v in (epoch, look))
        share = ratio / args.every / (1 + ratio / args.every)
        rows.append((str(task.number), str(steps), *cells, f"{steps * ratio:.2f}", f"{100 * share:.2f} %"))
    off = trained(replace(job.config, trainer=replace(job.config.trainer, max_tasks=1)), data, every=0)
    full = [100 * value / args.every / n for value in (max(in_steps),) for n in PUBLISHED_STEPS]
    text = [
        f"Epochs and looks in turn, {args.epochs - 1} of each a task (medians, and ranges; on a CPU the processor's "
        "time for this process). With "
        f"`tracking.mechanism_every=0` the same run looked {len(off.looks)} times.",
        f"A look costs up to {max(in_steps):.1f} training steps, whatever the length of an epoch: with N = "
        f"{args.every} it is {full[1]:.2f} to {full[0]:.2f} % of an epoch of "
        f"{PUBLISHED_STEPS[1]} or {PUBLISHED_STEPS[0]} "
        "steps (CIFAR-100 10-10 at full size).",
    ]
    for row in rows:
        print("  ".join(row))
    print("\n".join(text))
    words = " ".join("dataset.root=DIR" if w.startswith("dataset.root=") else w for w in args.overrides)
    command = f"python scripts/benchmarks/mechanism.py {words} --epochs {args.epochs} --tasks {args.tasks}"
    if args.out is not None:
        args.out.write_text(json.dumps(begun | {"command": command, "text": text, "tables": [rows]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
