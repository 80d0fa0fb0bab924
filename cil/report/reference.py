"""Published figures beside one's own (`--reference FILE`). The format is described in docs/report.md."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cil.report.errors import ReportError
from cil.report.figures import ACCURACIES, COSTS, figure_of
from cil.report.groups import Group, Problem
from cil.report.runs import Run
from cil.report.settings import CUT, differing, follows
from cil.report.significance import Summary, summarise

SHIPPED = Path(__file__).resolve().parent / "published" / "tagfex_ant.json"
"""Figures of a public TagFex + ANT fork, as facts (its code is not used)."""

_STREAM = ("dataset.name", "split.base", "split.increment")
FIGURES = tuple(figure.key for figure in (*ACCURACIES, *COSTS))


@dataclass(frozen=True)
class ReferenceGroup:
    """Published runs of one setting: figures by name, one value a seed."""

    label: str
    settings: dict[str, Any]
    seeds: list[Any]
    figures: dict[str, list[float]]

    def summary(self, key: str) -> Summary:
        """Mean and deviation over the published runs."""
        return summarise(self.figures.get(key, []))


@dataclass(frozen=True)
class Reference:
    """A file of published figures."""

    title: str
    note: str
    groups: list[ReferenceGroup]

    def for_problem(self, problem: Problem) -> list[ReferenceGroup]:
        """The published settings with the same data set, split and tasks."""
        run = problem.finished[0]
        return [
            group
            for group in self.groups
            if all(group.settings.get(key) == run.settings.get(key) for key in _STREAM)
            and _ends_as(group.settings.get(CUT), run)
        ]


def _ends_as(published: int | None, run: Run) -> bool:
    """Whether published figures with this trainer.max_tasks are of as many tasks as the run's."""
    if run.cut_after is not None:
        return published == run.cut_after
    return published is None or published >= len(run.result["tasks"])


def read_reference(path: Path) -> Reference:
    """Read a file of published figures. Raises ReportError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        by_label: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for entry in content["entries"]:
            by_label[json.dumps([entry["label"], entry["settings"]])].append(entry)
        groups = [
            ReferenceGroup(
                label=entries[0]["label"],
                settings=dict(entries[0]["settings"]),
                seeds=[entry.get("seed") for entry in entries],
                figures={
                    key: [float(entry["figures"][key]) for entry in entries if key in entry["figures"]]
                    for key in FIGURES
                },
            )
            for entries in by_label.values()
        ]
        return Reference(str(content["title"]), str(content.get("note", "")), groups)
    except (OSError, UnicodeDecodeError) as error:
        raise ReportError(f"--reference: {path}: cannot be read: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise ReportError(f"--reference: {path}: is no file of published figures ({what})") from None


def closest(group: Group, references: list[ReferenceGroup]) -> tuple[list[ReferenceGroup], list[str]]:
    """The published settings nearest to the group's, and the settings in which they differ."""

    def away(reference: ReferenceGroup) -> list[str]:
        theirs = {key: value for key, value in reference.settings.items() if key != CUT}  # for_problem looked at it
        ours = {key: group.settings.get(key) for key in theirs}
        return [key for key in differing(theirs, ours) if not follows(key, theirs, ours)]

    if not references:
        return [], []
    distances = [away(reference) for reference in references]
    least = min(map(len, distances))
    chosen = [reference for reference, keys in zip(references, distances, strict=True) if len(keys) == least]
    return chosen, next(keys for keys in distances if len(keys) == least)


def difference_text(group: Group, reference: ReferenceGroup, key: str) -> str:
    """Difference of the two means, ours minus theirs (not paired: other machines, other random numbers)."""
    ours, theirs = group.summary(key).mean, reference.summary(key).mean
    return "" if ours is None or theirs is None else figure_of(key).show(ours - theirs, signed=True)
