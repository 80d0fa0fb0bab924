"""What the observer says at a task's end."""

import pytest

from cil.run.live import RunObserver


class Quiet:
    """Stands for folder, recorder, saver and display, and keeps the lines."""

    tasks = 5

    def __init__(self):
        self.lines = []
        self.left = self

    def line(self, text):
        self.lines.append(text)

    def add(self, record):
        pass

    def save_task(self, task, state):
        pass

    def pause(self):
        pass


@pytest.mark.parametrize("chance", [True, False])
def test_a_task_that_was_not_learned_is_warned_about(caplog, chance):
    quiet = Quiet()
    record = {"task": 3, "task/top1": 50.0, "task/nme_top1": None, "task/incremental_avg_top1": 60.0}
    RunObserver(quiet, quiet, quiet, quiet, quiet).on_task(record | {"new_classes_at_chance": chance}, dict)
    warned = [line for line in quiet.lines if line.startswith("warning: ")]
    assert bool(warned) is chance
    assert ("the classes of task 3 were not learned" in caplog.text) is chance
