"""The evaluation of a run: which analyses there are, and what evaluation.json holds."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from cil.config.schema import RunConfig
from cil.engine.metrics import by_task
from cil.evaluate.corruptions import STRENGTHS
from cil.evaluate.features import embedded, linear_probe, per_class
from cil.evaluate.measures import PARTS, calibration, linear_cka, mean_cosine
from cil.evaluate.network import Bench
from cil.records.result import device_facts, git_commit, versions
from cil.trained.folder import StoredRun
from cil.trained.model import TrainedModel, kept_model, kept_tasks

SCHEMA_VERSION = 1
MAP_IMAGES = 2000
"""At most so many test images are drawn in a map of features."""
Record = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What to evaluate. task: the network after it is looked at; parts: of PARTS."""

    task: int
    parts: tuple[str, ...] = PARTS
    embedding: str = "tsne"
    probe_images: int | None = 200
    """Train images of each class that the linear probe is fitted to; None: all."""


@dataclass
class Evaluation:
    """What was found: plain values for evaluation.json, and arrays for the files and pictures beside it."""

    record: Record
    confusion: dict[str, np.ndarray]
    """Head -> counts int64 [C, C], of the network that was looked at."""
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


def of_network(run: StoredRun, task: int) -> Record:
    """What an evaluation is of, and by: parts with the same are parts of one evaluation."""
    config_id = run.result["config_id"]
    return {"schema_version": SCHEMA_VERSION, "config_id": config_id, "task": task, "git_commit": git_commit()}


def evaluate(run: StoredRun, config: RunConfig, request: Request, say: Callable[[str], None]) -> Evaluation:
    """Evaluate a run's networks on its test images. Raises ConfigError and DataError, before anything long.

    config: the run's, with the place of its images. say: is told what is being worked on.
    """
    started = time.monotonic()
    tasks = kept_tasks(run)
    kept_model(run, request.task)  # whether it is there, before the images are loaded
    say(f"loading {config.dataset.name}")
    bench = Bench(run, config)
    try:
        found = _evaluate(bench, request, tasks, say)
    finally:
        bench.data.loader.close()
    found.record |= {"seconds": time.monotonic() - started}
    return found


def _evaluate(bench: Bench, request: Request, tasks: list[int], say: Callable[[str], None]) -> Evaluation:
    run = bench.run
    model = bench.model(request.task)
    known = run.tasks[request.task - 1].known
    say(f"the network after task {request.task}: {known} classes")
    scores = bench.scores(model, known)
    record: Record = of_network(run, request.task) | {
        "kept_tasks": tasks,
        "parts": list(request.parts),
        "versions": versions(),
        "device": device_facts(bench.device, [], [1]),
        "accuracy": scores.overall(),
        "classes": _by_class(run, scores.total, scores.hits),
    }
    found = Evaluation(record, scores.confusions)
    starts = [task.first for task in run.tasks[: request.task]]
    record["confusion_of_tasks"] = {head: by_task(c, starts).tolist() for head, c in scores.confusions.items()}
    if "matrix" in request.parts or "drift" in request.parts:
        record |= _over_tasks(bench, request, tasks, model, say)
    if _OF_OUTPUTS.intersection(request.parts):
        _look_at_outputs(bench, request, model, found, say)
    if "corruptions" in request.parts:
        record["corruptions"] = _corruptions(bench, model, known, say)
    return found


_OF_OUTPUTS = {"calibration", "probe", "embedding"}
"""Parts that are about scores and features of every test image; the others only count hits."""


def _look_at_outputs(
    bench: Bench, request: Request, model: TrainedModel, found: Evaluation, say: Callable[[str], None]
) -> None:
    """Add the parts of _OF_OUTPUTS to what was found."""
    record, known = found.record, bench.run.tasks[request.task - 1].known
    outputs = bench.outputs(model, "test", 0, known)
    if "calibration" in request.parts:
        record["calibration"] = asdict(calibration(outputs.logits, outputs.targets))
    if "probe" in request.parts:
        say("linear probe")
        train = bench.outputs(model, "train", 0, known, request.probe_images)
        record["probe"] = linear_probe(train.features, train.targets, outputs.features, outputs.targets)
    if "embedding" in request.parts:
        say(f"map of the features ({request.embedding})")
        few = per_class(outputs.targets, max(1, MAP_IMAGES // known))
        found.arrays["embedding"] = embedded(outputs.features[few], request.embedding, bench.config.seed)
        found.arrays["embedding_classes"] = outputs.targets[few]
        record["embedding"] = {"kind": request.embedding, "images": len(few)}


def _by_class(run: StoredRun, total: np.ndarray, hits: dict[str, np.ndarray | None]) -> list[Record]:
    """Accuracy (per cent) of every class by kind."""
    rows = []
    for one in run.classes[: len(total)]:
        images = int(total[one.position])
        accuracy = {
            kind: 100 * int(counted[one.position]) / images if counted is not None and images else None
            for kind, counted in hits.items()
        }
        rows.append(one._asdict() | {"images": images} | accuracy)
    return rows


def _over_tasks(
    bench: Bench, request: Request, tasks: list[int], model: TrainedModel, say: Callable[[str], None]
) -> Record:
    """The accuracy matrix of every kept network, compared with the run's own; the drift of old classes' features."""
    run = bench.run
    record: Record = {}
    rows: dict[int, dict[str, list[float | None]]] = {}
    drift = []
    for number in tasks:
        task = run.tasks[number - 1]
        say(f"task {number} of {len(run.tasks)}")
        earlier = model if number == request.task else bench.model(number)
        if "matrix" in request.parts:
            rows[number] = bench.scores(earlier, task.known).rows(run.tasks[:number])
        if "drift" in request.parts and number < request.task:
            before = bench.outputs(earlier, "test", task.first, task.known).features
            after = bench.outputs(model, "test", task.first, task.known).features
            drift.append({"task": number, "cka": linear_cka(before, after), "cosine": mean_cosine(before, after)})
    if "matrix" in request.parts:
        record["matrices"], record["differences"] = _compared(run, rows)
    if "drift" in request.parts:
        record["drift"] = drift
    return record


def _compared(run: StoredRun, rows: dict[int, dict[str, list[float | None]]]) -> tuple[Record, list[str]]:
    """(matrix by kind, null for the tasks that were not kept; where they differ from what the run wrote)."""
    written = run.result["matrices"]
    matrices = {
        kind: [rows[task.number].get(kind) if task.number in rows else None for task in run.tasks] for kind in written
    }
    differences = [
        f"{kind} after task {number}: {row.get(kind)}, but the run wrote {written[kind][number - 1]}"
        for number, row in rows.items()
        for kind in written
        if row.get(kind) != written[kind][number - 1]
    ]
    return matrices, differences


def _corruptions(bench: Bench, model: TrainedModel, known: int, say: Callable[[str], None]) -> Record:
    """Accuracy by kind of corruption -> kind of accuracy -> one value for each strength."""
    found: Record = {}
    for kind, strengths in STRENGTHS.items():
        say(f"corrupted test images: {kind}")
        measured = [bench.corrupted_accuracy(model, known, kind, i + 1) for i in range(len(strengths))]
        found[kind] = {"strengths": list(strengths)} | {name: [one[name] for one in measured] for name in measured[0]}
    return found
