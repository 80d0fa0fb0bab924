"""What a training step of TagFex costs above its networks: the trainer's step against a bare forward and backward.

The network of the given settings is grown to `--task`, and four things take turns in one process on batches of real
images: the trainer's step (augmentation, forward, losses, statistics, backward, SGD, divergence guard) with
trainer.frozen=exact and =folded; and the bare forward and backward of the same networks, frozen branches and teacher
under no_grad, exact and folded: no augmentation, no heads, no loss, no optimiser. With `--profile`, the operations of
one exact step follow.

Ratios are those of the processor time of this process, with one thread the work that was done: other processes that
use the same cores stretch the time on the clock, which stands beside.

    python scripts/benchmarks/overhead.py dataset=cifar100 split=10-10 --task 10 --rounds 5 trainer.batch_size=16
"""

import argparse
import itertools
import resource
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch

from cil.config.schema import FrozenForm
from cil.data.loader import TrainBatch
from cil.data.views import EpochKey
from cil.engine.build import build_trainer
from cil.engine.divergence import Place
from cil.engine.loop import Trainer
from cil.models.tagfex_net import TagFexNet
from cil.planning.plan import compose_jobs
from cil.run.process import keep_freed_memory


def grown_trainer(overrides: list[str], task: int) -> Trainer:
    """A trainer in front of the first step of `task`; the tasks before it have been begun, but not trained."""
    (job,) = compose_jobs(["device=cpu", "method=tagfex", *overrides])
    trainer = build_trainer(job.config)
    for earlier in trainer.tasks[:task]:
        trainer.begin_task(earlier)
    trainer.stepper.set_rate(1e-6)  # so small that an untrained network does not diverge
    trainer.method.begin_epoch(0, 1)
    trainer.method.network.train()
    return trainer


def full_batches(trainer: Trainer, task: int) -> Iterator[TrainBatch]:
    """Batches of the task's own images without end; no short ones. What they cost to make is part of a step."""
    indices, targets = trainer.training_set.images(trainer.tasks[task - 1])
    size = trainer.config.trainer.batch_size
    if len(indices) < size:
        raise SystemExit(f"task {task} has {len(indices)} images, less than trainer.batch_size={size}")
    order = np.arange(len(indices) - len(indices) % size)
    for epoch in itertools.count():
        key = EpochKey(trainer.config.seed, task, epoch)
        yield from trainer.data.loader.train_batches(indices[order], targets[order], size, key, views=2)


def bare(network: TagFexNet, views: torch.Tensor) -> None:
    """Forward and backward of the networks alone."""
    network.zero_grad(set_to_none=True)
    maps = [network.ta_net(views), network.ts_nets[-1](views)]
    with torch.no_grad():
        for net in network.ts_nets[:-1]:
            network.run_frozen(net, views)
        if network.teacher is not None:
            network.run_frozen(network.teacher.ta_net, views)
    torch.autograd.backward(maps, [torch.ones_like(found) for found in maps])


def measure(trainer: Trainer, task: int, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Seconds of each thing in each round, processor time and time on the clock; one round before warms up."""
    network = trainer.method.network
    assert isinstance(network, TagFexNet)
    batches = full_batches(trainer, task)
    views = next(batches).views
    step = itertools.count(1)

    def whole() -> None:
        trainer.stats.add("", trainer.stepper(next(batches), Place(task, 1, next(step))))

    def networks() -> None:
        bare(network, views)

    forms = [FrozenForm.exact] + ([FrozenForm.folded] if task > 1 else [])
    things: list[tuple[str, FrozenForm, Callable[[], None]]] = []
    for form in forms:
        things += [(f"step, {form.name}", form, whole), (f"bare, {form.name}", form, networks)]
    runs = {form: type(network.run_frozen)(form) for form in forms}  # each with its copies
    found: dict[str, list[tuple[float, float]]] = {name: [] for name, _, _ in things}
    for number in range(rounds + 1):
        for name, form, thing in things:
            network.run_frozen = runs[form]
            start = time.process_time(), time.perf_counter()
            thing()
            if number:
                found[name].append((time.process_time() - start[0], time.perf_counter() - start[1]))
    return found


def profiled(trainer: Trainer, task: int) -> str:
    """The operations of one step that take longest, by their own time."""
    batches = full_batches(trainer, task)
    trainer.stepper(next(batches), Place(task, 1, 1))
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        trainer.stepper(next(batches), Place(task, 1, 2))
    return profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=20, max_name_column_width=40)


def main() -> None:
    """Parse, measure in turn, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="settings of the run, as for python -m cil.train")
    parser.add_argument("--task", type=int, default=1, help="the task whose step is timed, from 1")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count")
    parser.add_argument("--profile", action="store_true", help="print the operations of one step, too")
    args = parser.parse_intermixed_args()
    keep_freed_memory()
    trainer = grown_trainer(args.overrides, args.task)
    found = measure(trainer, args.task, args.rounds)
    base = found["bare, exact"]
    print(f"{torch.get_num_threads()} thread(s), {args.rounds} rounds; median (least to most)")
    for name, pairs in found.items():
        # Ratios within a round: what else runs on the machine changes from round to round.
        ratios = [one[0] / other[0] for one, other in zip(pairs, base, strict=True)]
        work, clock = zip(*pairs, strict=True)
        print(
            f"{name:13s} {statistics.median(work):7.3f} s ({min(work):.3f} to {max(work):.3f}), on the clock "
            f"{statistics.median(clock):.3f} s; of the bare networks, exact: {statistics.median(ratios):.3f} "
            f"({min(ratios):.3f} to {max(ratios):.3f})"
        )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")
    if args.profile:
        print(profiled(trainer, args.task))


if __name__ == "__main__":
    main()
