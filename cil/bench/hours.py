"""From what was measured in a few tasks to the hours of a whole run."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cil.bench.subject import Subject

Record = dict[str, Any]


def hours(subject: Subject, figures: Mapping[str, Sequence[Record]], by_processor: bool = False) -> Record | None:
    """Hours of training, evaluation (herding included) and saving, and their sum; None without a measured step.

    A part that was not measured is null and not in the sum. Between measured tasks, and beyond them, a step's time
    follows the method's own cost of a step (`Method.step_cost`), in the proportion that was measured; later phases of
    a task count as the first one. The tasks' steps are those of cil/engine/workload.py. by_processor: by the time that
    the processor gave to this process.
    """
    if by_processor:
        figures = {part: [_by_processor(one) for one in found] for part, found in figures.items()}
    steps = _by_task(figures.get("step", ()), lambda found: found["seconds"]["median"])
    if not steps:
        return None
    trainer = subject.trainer
    cost = _between({task: seconds / subject.method.step_cost(task) for task, seconds in steps.items()})
    training = {
        number: sum(counts) * cost(number) * subject.method.step_cost(number)
        for number, counts in trainer.workload.steps.items()
    }
    evaluation = _evaluation(subject, figures)
    saving = _saving(subject, figures, sum(training.values()))
    found = {"training": sum(training.values()), "evaluation": evaluation, "saving": saving}
    total = sum(value for value in found.values() if value is not None)
    return {name: None if value is None else value / 3600 for name, value in found.items()} | {
        "total": total / 3600,
        "by_task": {str(number): seconds / 3600 for number, seconds in training.items()},
        "steps_by_task": {str(number): sum(counts) for number, counts in trainer.workload.steps.items()},
        "measured_tasks": sorted(steps),
    }


def _by_processor(found: Record) -> Record:
    """The figures of one part with the processor's time in place of the clock's."""
    return {
        name: value["by_processor"] if isinstance(value, dict) and "by_processor" in value else value
        for name, value in found.items()
    }


def _evaluation(subject: Subject, figures: Mapping[str, Sequence[Record]]) -> float | None:
    """Seconds of everything at the tasks' ends, and of the evaluations in between."""
    per_image = _by_task(figures.get("evaluation", ()), lambda found: found["seconds"]["median"] / found["images"])
    if not per_image:
        return None
    image = _between(per_image)
    herding = _by_task(figures.get("herding", ()), lambda found: found["seconds"]["median"])
    of_class = _between(herding) if herding else lambda _: 0.0
    trainer, memory = subject.trainer, subject.trainer.task_end.memory
    every = subject.config.trainer.eval_every
    seconds = 0.0
    for task in trainer.tasks:
        tests = len(subject.data.indices("test", 0, task.known)[0])
        epochs = len(trainer.workload.steps[task.number])
        seconds += tests * (1 + ((epochs - 1) // every if every else 0)) * image(task.number)
        if memory.wanted:
            counts = np.bincount(subject.data.indices("train", 0, task.known)[1], minlength=task.known)
            new, kept = counts[task.first :].sum(), np.minimum(counts, memory.quota(task.known)).sum()
            seconds += float(new + kept) * image(task.number) + task.size * of_class(task.number)
    return seconds


def _saving(subject: Subject, figures: Mapping[str, Sequence[Record]], training: float) -> float | None:
    """Seconds of the checkpoints while the run trains, and of the one after each task; each as long as the longest."""
    found = _by_task(figures.get("checkpoint", ()), lambda one: one["save_seconds"]["median"])
    if not found:
        return None
    minutes = subject.config.checkpoint.every_minutes
    times = len(subject.trainer.tasks) + (training / (60 * minutes) if minutes else 0)
    return times * max(found.values())


def _by_task(found: Sequence[Record], value: Callable[[Record], float]) -> dict[int, float]:
    return {one["task"]: value(one) for one in found if "skipped" not in one}


def _between(known: Mapping[int, float]) -> Callable[[int], float]:
    """Straight lines between the known tasks; beyond them the nearest one's value."""
    tasks = sorted(known)
    return lambda task: float(np.interp(task, tasks, [known[number] for number in tasks]))
