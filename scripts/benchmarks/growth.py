"""How a run grows: a step's time and memory over tasks and over batches, herding and nearest means at 1,000 classes.

Made-up pixels, so no data is needed. `--paper` counts, without computing anything, what ImageNet-1000 in 100 tasks
would take: parameters, memory and operations by the formula and as the networks themselves have them.

    python scripts/benchmarks/growth.py --backbone resnet20 --rounds 3
    python scripts/benchmarks/growth.py --paper
"""

import argparse
import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch

from cil.bench.clock import Clock
from cil.bench.flops import network_flops
from cil.bench.images import made_up
from cil.bench.machine import device_name, facts
from cil.bench.parts import Bench, step
from cil.bench.subject import Subject
from cil.config.schema import RunConfig
from cil.data.herding import herd
from cil.data.stream import TaskStream
from cil.engine.build import resolve_device
from cil.engine.evaluate import nearest_mean_scores
from cil.engine.model_size import grown
from cil.engine.precision import set_reproducibility
from cil.planning.plan import plan
from cil.run.process import keep_freed_memory

Rows = list[tuple[str, ...]]
SPLITS = {"10-10": (1, 2, 5, 10), "5-5": (1, 5, 10, 15, 20)}
PAPER_TASKS = (1, 2, 10, 50, 100)
PAPER = ("dataset=imagenet100", "dataset.classes=1000", "split=10-10", "class_order=natural", "memory.size=20000")
IMAGES_OF_CLASS = 1300
SUSTAINED = 400e12
"""Operations a second that the hours on paper are told for: 40 % of an H100's or H200's peak in bf16."""


def config_of(*words: str) -> RunConfig:
    """Checked settings of a run whose images need not be there."""
    (job,) = plan(list(words), look_for_data=False).jobs
    return job.config


def benches(args: argparse.Namespace, split: str, tasks: Sequence[int], batch: int) -> Iterator[tuple[int, Bench]]:
    """(task, what is measured), the network grown from one to the next."""
    words = ("dataset=cifar100", f"split={split}", f"backbone={args.backbone}", f"trainer.batch_size={batch}")
    config, data = made_up(config_of(*words, *args.overrides), resolve_device("auto"))
    set_reproducibility(config.trainer)
    subject = Subject(config, data)
    clock = Clock(subject.device, args.rounds)
    for number in tasks:
        subject.grow(number)
        yield number, Bench(subject, clock, args.steps, Path(), "")


def cells(found: dict) -> tuple[str, ...]:
    """Of a measured step: ms an image, bare networks' share, operations an image, peak memory, parameters."""
    seconds, images = found["seconds"], found["images"]
    seconds = seconds.get("by_processor", seconds)
    low, middle, high = (1e3 * seconds[name] / images for name in ("min", "median", "max"))
    share = found["bare_share"].get("by_processor", found["bare_share"])
    return (
        f"{middle:.1f} ({low:.1f} to {high:.1f})",
        f"{100 * share['median']:.0f} %",
        f"{found['flops'] / images / 1e9:.2f}",
        f"{found['peak_bytes'] / 1e9:.2f}",
        f"{found['parameters'] / 1e6:.2f}",
    )


PAPER_COLUMNS = (
    "task",
    "M parameters",
    "backbones + heads",
    "weights, GB",
    "trained state, GB",
    "GFLOP an image",
    "by the formula",
    "hours of the task",
)
COLUMNS = ("ms an image (range)", "bare networks", "GFLOP an image", "peak memory, GB", "M parameters")


def over_tasks(args: argparse.Namespace) -> Rows:
    """A step over 10 and over 20 tasks."""
    rows: Rows = [("split, task", *COLUMNS)]
    for split, tasks in SPLITS.items():
        for number, bench in benches(args, split, tasks, args.batch):
            rows.append((f"{split}, {number} of {len(bench.subject.trainer.tasks)}", *cells(step(bench))))
            print(*rows[-1], sep="  ", flush=True)
    return rows


def over_batches(args: argparse.Namespace) -> Rows:
    """A step of task 1 over the batch."""
    rows: Rows = [("images a batch", *COLUMNS)]
    for batch in (args.batch // 2, args.batch, 2 * args.batch, 4 * args.batch):
        ((_, bench),) = benches(args, "10-10", (1,), batch)
        rows.append((str(batch), *cells(step(bench))))
        print(*rows[-1], sep="  ", flush=True)
    return rows


def many_classes(args: argparse.Namespace, classes: int = 1000, exemplars: int = 20, images: int = 64) -> Rows:
    """Exemplars of one class, and nearest means of a batch, at 1,000 classes and growing feature widths."""
    clock = Clock(resolve_device("auto"), args.rounds)
    nearest_of = f"nearest means, ms for {images} images"
    rows: Rows = [("feature width", "herding, ms a class", f"for {classes:,} classes, s", nearest_of,
                   "for 50,000 images, s", "class means, MB")]  # fmt: skip
    for width in (512, 5120, 51200):
        draw = torch.Generator().manual_seed(width)
        features, tests, means = (
            torch.nn.functional.normalize(torch.randn(n, width, generator=draw), dim=1).to(clock.device)
            for n in (IMAGES_OF_CLASS, images, classes)
        )
        sides: dict[str, Callable[[], object]] = {
            "herd": partial(herd, features, exemplars),
            "nme": partial(nearest_mean_scores, tests, means),
        }
        found = clock.in_turn(sides)
        chosen, nearest = (statistics.median(found[n].processor or found[n].rounds) for n in ("herd", "nme"))
        times = (
            f"{1e3 * chosen:.0f}",
            f"{classes * chosen:.0f}",
            f"{1e3 * nearest:.0f}",
            f"{50000 / images * nearest:.0f}",
        )
        rows.append((f"{width:,}", *times, f"{4 * classes * width / 1e6:.0f}"))
        print(*rows[-1], sep="  ", flush=True)
    return rows


def on_paper() -> tuple[list[str], list[Rows]]:
    """ImageNet-1000 in 100 tasks: counted on networks without values, and by the formula."""
    config, one = config_of(*PAPER), config_of(*PAPER, "method=finetune")
    tasks = TaskStream(range(1000), [10] * 100, list(map(str, range(1000)))).tasks
    backbone = sum(p.numel() for p in grown(one, tasks[:1]).network.parameters()) - 10 * (512 + 1)
    forward = network_flops(one, tasks[:1], 1) / 3
    by_formula = {t.number: 2 * forward * (6 if t.number == 1 else t.number + 6) for t in tasks}
    rows: Rows = [PAPER_COLUMNS]
    for number in PAPER_TASKS:
        network = grown(config, tasks[:number]).network
        count = sum(p.numel() for p in network.parameters())
        trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
        backbones = (number + 1 + (number > 1)) * backbone
        flops = network_flops(config, tasks[:number], 1)
        row = (f"{count / 1e6:,.0f}", f"{backbones / 1e6:,.0f} + {(count - backbones) / 1e6:.0f}",
               f"{4 * count / 1e9:.2f}", f"{12 * trained / 1e9:.2f}", f"{flops / 1e9:,.0f}",
               f"{by_formula[number] / 1e9:,.0f}", f"{seconds_of(config, number, flops) / 3600:.1f}")  # fmt: skip
        rows.append((str(number), *row))
        print(*rows[-1], sep="  ", flush=True)
    hours = sum(seconds_of(config, number, flops) for number, flops in by_formula.items()) / 3600
    return paper_text(config, backbone, forward, hours), [rows]


def paper_text(config: RunConfig, backbone: int, forward: float, hours: float) -> list[str]:
    """The formulas and what follows from them."""
    side = config.dataset.image_size
    return [
        "Of TagFex with ResNet-18 in task t; B parameters and f operations (forward, one image) of one backbone:",
        "- parameters: (t + 2) B and the heads: t task-specific networks, the task-agnostic one and its frozen copy "
        "(none in task 1); projectors, predictor, attention, and a classifier of 10 t rows over 512 t features, which "
        "grows with t². Weights take 4 bytes each; only the newest networks and the heads are trained (weight, "
        "gradient and momentum: 12 bytes).\n"
        "- operations of a step: 2 views x f x (t + 6) an image: t - 1 frozen networks and the frozen copy forward "
        "only, two networks forward and backward (3 each); in task 1 without the copy, x 6.",
        f"B = {backbone / 1e6:.2f} M, f = {forward / 1e9:.2f} GFLOP at {side} pixels. 20,000 exemplars take "
        f"{20000 * 3 * side**2 / 1e9:.1f} GB as pixels. The features of herding and nearest means are 512 t wide: in "
        f"task 100 the class means of 1,000 classes take {4 * 1000 * 51200 / 1e9:.2f} GB, and the float64 features of "
        f"one class {8 * IMAGES_OF_CLASS * 51200 / 1e9:.2f} GB.",
        f"Hours are those of {SUSTAINED / 1e12:.0f} TFLOP/s sustained (40 % of an H100's or H200's peak in bf16), "
        f"{config.trainer.inc_epochs} epochs a task over 13,000 new images and up to 20,000 exemplars: about "
        f"**{hours:,.0f} hours** for all 100 tasks. Nothing of this has been run.",
    ]


def seconds_of(config: RunConfig, number: int, flops: float) -> float:
    """Of training task `number` at SUSTAINED, by the operations of one image."""
    epochs = config.trainer.init_epochs if number == 1 else config.trainer.inc_epochs
    kept = min(20000, IMAGES_OF_CLASS * 10 * (number - 1))
    return epochs * (10 * IMAGES_OF_CLASS + kept) * flops / SUSTAINED


def main() -> None:
    """Parse, measure or count, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="further settings, as for python -m cil.train")
    parser.add_argument("--paper", action="store_true", help="ImageNet-1000 in 100 tasks, counted")
    parser.add_argument("--backbone", default="resnet20")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=1, help="steps in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="a file for scripts/benchmarks_page.py")
    args = parser.parse_intermixed_args()
    keep_freed_memory()
    begun = facts(resolve_device("auto"))
    print(device_name(begun["machine"]))
    if args.paper:
        command = "python scripts/benchmarks/growth.py --paper"
        text, tables = on_paper()
    else:
        words = "".join(f" {word}" for word in args.overrides)
        command = f"python scripts/benchmarks/growth.py{words} --backbone {args.backbone} --batch {args.batch}"
        command += f" --steps {args.steps} --rounds {args.rounds}"
        tables = [over_tasks(args), over_batches(args), many_classes(args)]
        text = [
            f"Medians of {args.rounds} rounds; {args.batch} images a batch where no other number stands. On a CPU "
            "times are those that the processor spent on this process, since others were at work."
        ]
    if args.out is not None:
        args.out.write_text(json.dumps(begun | {"command": command, "text": text, "tables": tables}, indent=1) + "\n")


if __name__ == "__main__":
    main()
