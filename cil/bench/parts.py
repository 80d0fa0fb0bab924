"""The parts of a run that are measured one by one. Each gives plain values for bench.json."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import torch

from cil.bench.clock import Clock, Figure, Record
from cil.bench.flops import network_flops
from cil.bench.peaks import peak_flops
from cil.bench.subject import Subject
from cil.config.typed import plain
from cil.data.augment import Augmenter
from cil.data.herding import herd
from cil.losses.base import make_loss
from cil.records.checkpoint import CheckpointFolder, read_checkpoint
from cil.seeding import generator


@dataclass(frozen=True)
class Bench:
    """What every part needs: the trainer, the clock, how many steps a round has, where files may be written."""

    subject: Subject
    clock: Clock
    steps: int
    folder: Path
    device_name: str


def _rates(seconds: Figure, images: float) -> Record:
    """seconds: of one unit of work, which is about so many images."""
    return {
        "images": images,
        "seconds": seconds.record(),
        "images_per_second": seconds.map(lambda value: images / value).record(),
    }


def step(bench: Bench) -> Record:
    """Training steps as a run makes them, in turn with the bare networks on one of their batches."""
    subject, clock = bench.subject, bench.clock
    task, trainer = subject.task, subject.trainer
    assert task is not None
    batches = subject.batches()
    held = next(batches)
    images = len(held.targets)

    def steps() -> None:
        for batch in islice(batches, bench.steps):
            subject.step(batch)

    def bare() -> None:
        for _ in range(bench.steps):
            subject.bare(held.views)

    subject.step(next(batches))  # libraries start
    peak = clock.peak_bytes(lambda: subject.step(next(batches)))
    found = clock.in_turn({"step": steps, "bare": bare})
    trainer.stepper.guard.flush()
    seconds, alone = (found[name].map(lambda value: value / bench.steps) for name in ("step", "bare"))
    flops = network_flops(subject.config, trainer.tasks[: task.number], images)
    rate = seconds.map(lambda value: flops / value)
    top = peak_flops(bench.device_name, subject.config.trainer.precision)
    return _rates(seconds, images) | {
        "bare_seconds": alone.record(),
        "bare_share": alone.over(seconds).record(),
        "flops": flops,
        "flops_per_second": rate.record(),
        "peak_flops": None if top is None else top[0],
        "peak_source": None if top is None else top[1],
        "peak_share": None if top is None else rate.map(lambda value: value / top[0]).record(),
        "peak_bytes": peak,
        "parameters": sum(p.numel() for p in subject.method.network.parameters()),
    }


def loading(bench: Bench) -> Record:
    """Batches as a run gets them: gathered or decoded, cropped, augmented, on the device."""
    batches = bench.subject.batches()
    images = len(next(batches).targets)

    def some() -> None:
        for _ in islice(batches, bench.steps):
            pass

    return _rates(bench.clock.in_turn({"all": some})["all"].map(lambda value: value / bench.steps), images)


def augment(bench: Bench) -> Record:
    """Augmentation of a batch's views that are on the device already."""
    config = bench.subject.config
    rows = bench.subject.method.views * config.trainer.batch_size
    side = config.dataset.image_size
    coarse = torch.rand((rows, 3, 8, 8), generator=generator(config.seed, "bench", "augment"))
    smooth = torch.nn.functional.interpolate(coarse, size=side, mode="bilinear")
    images = (smooth * 255).to(torch.uint8).to(bench.subject.device)
    augmenter = Augmenter(config.augment, side)
    stream = generator(config.seed, "bench", "draws")

    def some() -> None:
        for _ in range(bench.steps):
            augmenter.train(images, augmenter.draw(rows, stream))

    seconds = bench.clock.in_turn({"all": some})["all"].map(lambda value: value / bench.steps)
    return _rates(seconds, config.trainer.batch_size) | {"views": bench.subject.method.views}


def loss(bench: Bench) -> Record | str:
    """The contrastive loss of a batch with its statistics, forward and backward."""
    subject = bench.subject
    config = subject.config
    width = config.backbone.projector_out
    if config.loss.name is None or width is None:
        return f"method={config.method.name} has no contrastive loss"
    contrastive = make_loss(config.loss)
    margin = config.ant_margin or 0.1
    images = config.trainer.batch_size
    rows = subject.unit_rows("loss", 2 * images, width).requires_grad_()
    targets = torch.arange(images, device=subject.device) % max(1, subject.trainer.tasks[0].size)

    def some() -> None:
        for _ in range(bench.steps):
            contrastive(rows, rows, margin, targets).loss.backward()
            rows.grad = None

    peak = bench.clock.peak_bytes(some)
    seconds = bench.clock.in_turn({"all": some})["all"].map(lambda value: value / bench.steps)
    return _rates(seconds, images) | {"peak_bytes": peak, "rows": 2 * images, "width": width}


def evaluation(bench: Bench) -> Record:
    """The classifier and, with exemplars, nearest means, on test images of all classes so far."""
    subject, trainer = bench.subject, bench.subject.trainer
    task, config = subject.task, subject.config
    assert task is not None
    indices, targets = subject.data.indices("test", 0, task.known)
    chosen = slice(0, min(len(indices), bench.steps * config.trainer.eval_batch_size))
    means = None
    if trainer.task_end.memory.wanted:
        width = trainer.task_end.evaluator.features(subject.method, "test", indices[:2]).shape[1]
        means = subject.unit_rows("means", task.known, width)
    score = partial(trainer.task_end.evaluator.score, subject.method, "test", indices[chosen], targets[chosen], means)
    peak = bench.clock.peak_bytes(score)
    seconds = bench.clock.in_turn({"all": score}, warm=0)["all"]
    return _rates(seconds, len(indices[chosen])) | {"peak_bytes": peak}


def herding(bench: Bench) -> Record | str:
    """The exemplars of one class chosen from the features of its images; the features themselves are evaluation."""
    subject, trainer = bench.subject, bench.subject.trainer
    task, memory = subject.task, bench.subject.trainer.task_end.memory
    assert task is not None
    if not memory.wanted:
        return "no exemplars are kept"
    indices, _ = subject.data.indices("train", task.first, task.first + 1)
    width = trainer.task_end.evaluator.features(subject.method, "train", indices[:2]).shape[1]
    features = subject.unit_rows("features", len(indices), width)
    count = memory.quota(task.known)
    seconds = bench.clock.in_turn({"all": lambda: herd(features, count)})["all"]
    return _rates(seconds, len(indices)) | {"exemplars": min(count, len(indices)), "width": width}


def checkpoint(bench: Bench) -> Record:
    """The whole state of the run as it is saved and read again, in turn."""
    trainer = bench.subject.trainer
    state = {"config": plain(bench.subject.config), "records": [], "seconds": 0.0, "trainer": trainer.state_dict()}
    with tempfile.TemporaryDirectory(dir=bench.folder, prefix="cil-bench-") as name:
        folder = Path(name)
        paths: list[Path] = []

        def save() -> None:
            paths.append(CheckpointFolder(folder).save(state))

        found = bench.clock.in_turn({"save": save, "read": lambda: read_checkpoint(paths[-1])})
        size = paths[-1].stat().st_size
    return {"bytes": size, "save_seconds": found["save"].record(), "read_seconds": found["read"].record()}


EVERY_TASK: dict[str, Callable[[Bench], Record | str]] = {
    "step": step,
    "evaluation": evaluation,
    "herding": herding,
    "checkpoint": checkpoint,
}
"""Parts that depend on how far the network has grown."""
ONCE: dict[str, Callable[[Bench], Record | str]] = {"augment": augment, "loss": loss, "loading": loading}
