"""Measuring: in turn, warm-up rounds left out, peaks that do not remember earlier ones."""

import subprocess
import sys
import time

import pytest
import torch

from cil.bench.clock import Clock, Figure
from cil.bench.hours import hours
from cil.bench.options import measured_job
from cil.bench.subject import Subject
from cil.engine.build import build_data

CPU = torch.device("cpu")
PEAKS = """
import torch
from cil.bench.clock import Clock
clock = Clock(torch.device("cpu"), 1)
for size in (1, 100_000_000, 1):
    print(clock.peak_bytes(lambda: bytes(b"x" * size)))
"""


def test_sides_take_turns_and_the_first_round_does_not_count():
    called = []
    found = Clock(CPU, 3).in_turn({"a": lambda: called.append("a"), "b": lambda: called.append("b")})
    assert called == ["a", "b"] * 4
    assert {name: len(figure.rounds) for name, figure in found.items()} == {"a": 3, "b": 3}


def test_a_figure():
    figure = Figure((4.0, 1.0, 2.0))
    assert figure.record() == {"median": 2.0, "min": 1.0, "max": 4.0, "rounds": [4.0, 1.0, 2.0]}
    both = Figure((4.0, 8.0), (2.0, 2.0))
    assert both.over(Figure((2.0, 4.0), (1.0, 4.0))) == Figure((2.0, 2.0), (2.0, 0.5))
    assert both.map(lambda value: 8 / value) == Figure((2.0, 1.0), (4.0, 4.0))
    assert both.record()["by_processor"] == {"median": 2.0, "min": 2.0, "max": 2.0, "rounds": [2.0, 2.0]}


def test_sleeping_is_no_computing():
    found = Clock(CPU, 2).in_turn({"sleeps": lambda: time.sleep(0.05)})["sleeps"]
    assert all(wall >= 0.05 for wall in found.rounds)
    assert sum(found.processor) < sum(found.rounds) / 2


def test_a_quotient_needs_rounds_alike():
    figure = Figure((4.0, 1.0, 2.0))
    assert figure.map(lambda value: 8 / value).rounds == (2.0, 8.0, 4.0)
    assert figure.over(Figure((2.0, 2.0, 2.0))).rounds == (2.0, 0.5, 1.0)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a part alone is Linux's")
def test_a_peak_is_that_of_the_work_alone():
    # In a process of its own: here earlier tests have told the C library to keep what is freed.
    done = subprocess.run([sys.executable, "-c", PEAKS], check=True, capture_output=True, text=True)
    little, much, again = map(int, done.stdout.split())
    assert much - little > 90e6
    assert much - again > 90e6


def test_hours_between_measured_tasks_follow_the_cost_of_a_step():
    job, _ = measured_job(["dataset.max_train_per_class=12", "trainer.batch_size=8"])
    subject = Subject(job.config, build_data(job.config))
    cost = subject.method.step_cost
    steps = {number: sum(counts) for number, counts in subject.trainer.workload.steps.items()}
    # A step takes 2 s for each unit of cost in task 1, 4 s in task 3: 3 s in task 2, 4 s in tasks 4 and 5.
    figures = {"step": [{"task": t, "seconds": {"median": f * cost(t)}} for t, f in ((1, 2.0), (3, 4.0))]}
    found = hours(subject, figures)
    factors = {1: 2.0, 2: 3.0, 3: 4.0, 4: 4.0, 5: 4.0}
    assert found["by_task"] == pytest.approx({str(t): f * cost(t) * steps[t] / 3600 for t, f in factors.items()})
    assert (found["evaluation"], found["saving"]) == (None, None)
    assert found["total"] == pytest.approx(found["training"])
    slow = {"step": [one | {"seconds": {"median": 1e9, "by_processor": one["seconds"]}} for one in figures["step"]]}
    assert hours(subject, slow, by_processor=True) == found
    assert hours(subject, {"step": [{"task": 1, "skipped": "out of memory"}]}) is None
    figures["evaluation"] = [{"task": 1, "images": 10, "seconds": {"median": 20.0}}]
    images = sum(len(subject.data.indices("test", 0, task.known)[0]) for task in subject.trainer.tasks)
    images += sum(min(200, 12 * task.known) + 12 * task.size for task in subject.trainer.tasks)
    assert hours(subject, figures)["evaluation"] == pytest.approx(2 * images / 3600)
