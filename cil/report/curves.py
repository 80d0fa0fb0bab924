"""metrics.jsonl: figures over the epochs of a run."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAX_EPOCHS = 240
"""Longer runs are thinned to about this many epochs; first and last epochs of tasks are always kept."""

_STEP = re.compile(r'"step":\s*(\d+)')
_TASK = re.compile(r'"task":\s*(\d+)')
_IGNORED = ("kind", "task", "epoch", "step")


@dataclass(frozen=True)
class Curves:
    """Figures by tag, aligned with `steps` (epochs since the start of the run) and `tasks` (from 1)."""

    steps: list[int] = field(default_factory=list)
    tasks: list[int] = field(default_factory=list)
    values: dict[str, list[float | None]] = field(default_factory=dict)
    epochs: int = 0
    """Epochs in the file, before thinning."""
    ended: int = 0
    """Tasks whose end is in the file."""

    def at(self, tag: str, index: int) -> float | None:
        """The value at a position of `steps`; None where it was not measured."""
        column = self.values.get(tag)
        return column[index] if column else None

    def bounds(self) -> list[tuple[int, int]]:
        """Positions of the first and the last epoch of each task."""
        if not self.tasks:
            return []
        starts = [i for i, task in enumerate(self.tasks) if i == 0 or self.tasks[i - 1] != task]
        return list(zip(starts, [*(s - 1 for s in starts[1:]), len(self.tasks) - 1], strict=True))


def read_curves(path: Path, thin: bool = True) -> Curves:
    """The epochs of a metrics.jsonl, each step once (a resumed run may have written one twice: the last counts).

    thin: of long runs about MAX_EPOCHS epochs alone, see there. A last line cut short by a kill is left out. Raises
    ValueError naming the broken line, OSError.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    if lines and not _is_json(lines[-1]):
        lines.pop()
    found: dict[int, tuple[int, int]] = {}
    ended: set[int] = set()
    for number, line in enumerate(lines):
        step, task = _STEP.search(line), _TASK.search(line)
        if '"task"' in line[:16] and task:
            ended.add(int(task[1]))
        elif '"epoch"' in line[:20] and step and task:
            found[int(step[1])] = (number, int(task[1]))
        elif '"epoch"' in line[:20]:
            raise ValueError(f"line {number + 1} is no record of an epoch")
    return _parse(lines, found, len(ended), thin)


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _parse(lines: list[str], found: dict[int, tuple[int, int]], ended: int, thin: bool) -> Curves:
    steps = sorted(found)
    every = -(-len(steps) // MAX_EPOCHS) if thin else 1
    tasks = [found[step][1] for step in steps]
    kept, records = [], []
    for i, step in enumerate(steps):
        edge = i in (0, len(steps) - 1) or tasks[i - 1] != tasks[i] or tasks[i + 1] != tasks[i]
        number = found[step][0]
        # What is measured now and then is kept, wherever it falls.
        if not (edge or step % every == 0 or '"mechanism/' in lines[number]):
            continue
        try:
            records.append(json.loads(lines[number], parse_constant=lambda _: None))
        except ValueError:
            raise ValueError(f"line {number + 1} is not JSON") from None
        kept.append(i)
    tags = dict.fromkeys(tag for record in records for tag in record if tag not in _IGNORED)
    values = {tag: [record.get(tag) for record in records] for tag in tags}
    numbers = {tag: column for tag, column in values.items() if _is_numeric(column)}
    return Curves([steps[i] for i in kept], [tasks[i] for i in kept], numbers, len(steps), ended)


def _is_numeric(column: list[Any]) -> bool:
    return all(value is None or type(value) in (int, float) for value in column)
