"""What a view bank saves in a training step: frozen networks run in every step, or their features remembered.

The network of the given settings is grown to each of `--tasks`; a pair of views of a few batches is filled, and then
steps on these batches with the features computed and with the features remembered take turns in one process. Ratios are
those of the processor time of this process.

    python scripts/benchmarks/view_bank.py dataset=cifar100 split=10-10 dataset.root=data/cifar100 \\
        trainer.batch_size=16 --tasks 2 10 --rounds 5
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable

import torch

from cil.bench.subject import Subject
from cil.data.views import EpochKey
from cil.engine.build import build_data
from cil.engine.divergence import Place
from cil.planning.plan import compose_jobs
from cil.run.process import keep_freed_memory

BATCHES = 2


def seconds(thing: Callable[[], object]) -> float:
    """Processor seconds that a call takes."""
    start = time.process_time()
    thing()
    return time.process_time() - start


def measure(subject: Subject, number: int, rounds: int) -> tuple[float, list[float], list[float]]:
    """Processor seconds of the pass that fills, for an image; and of a step in each round, computed and remembered."""
    trainer, task = subject.trainer, subject.grow(number)
    indices, targets = trainer.training_set.images(task)
    size = trainer.config.trainer.batch_size
    images = indices[: BATCHES * size], targets[: BATCHES * size]
    key = EpochKey(trainer.config.seed, task.number, 0)
    filling = seconds(lambda: trainer.bank.fill(images, key)) / len(images[0])
    batches = list(trainer.data.loader.train_batches(*images, size, key, views=trainer.method.views))
    place = (Place(number, 1, step) for step in itertools.count(1))

    def steps(remembered: bool) -> None:
        for batch in batches:
            known = trainer.bank.known(batch, 0) if remembered else None
            trainer.stats.add("", trainer.stepper(batch, next(place), known))

    found: dict[bool, list[float]] = {False: [], True: []}
    for again in range(rounds + 1):  # one round before warms up
        for remembered, times in found.items():
            taken = seconds(lambda remembered=remembered: steps(remembered)) / len(batches)  # type: ignore[misc]
            if again:
                times.append(taken)
    return filling, found[False], found[True]


def main() -> None:
    """Measure and print, a line for each task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, nargs="+", default=[2, 10])
    parser.add_argument("--rounds", type=int, default=5)
    options, overrides = parser.parse_known_args()
    keep_freed_memory()
    (job,) = compose_jobs(["device=cpu", "augment.view_bank=1", *overrides])
    subject = Subject(job.config, build_data(job.config))
    print(f"torch {torch.__version__}, {torch.get_num_threads()} thread(s), {options.rounds} rounds in turn")
    for number in options.tasks:
        filling, computed, remembered = measure(subject, number, options.rounds)
        ratios = [a / b for a, b in zip(computed, remembered, strict=True)]
        low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
        print(
            f"task {number}: a step takes {statistics.median(computed):.3g} s computed, "
            f"{statistics.median(remembered):.3g} s remembered, {middle:.2f} times as long ({low:.2f} to {high:.2f}); "
            f"filling: {filling:.3g} s an image"
        )


if __name__ == "__main__":
    main()
