"""Groups of runs that differ only in seed (and class order), inside problems that can be compared at all."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cil.config.usage import owners
from cil.report.figures import figure_value
from cil.report.runs import Excluded, Run, code_version
from cil.report.settings import (
    ABSENT,
    CUT,
    ORDER_KEYS,
    TEST_SET_KEYS,
    covered,
    frozen,
    means_off,
    real_differences,
    short_name,
    show_setting,
    unused,
)
from cil.report.significance import Summary, summarise

Unit = tuple[Any, str]
HOLDOUT = "dataset.holdout_per_class"
PACK = "dataset.pack_side"
_PROBLEM_KEYS = ("dataset.name", "dataset.source", "dataset.classes", HOLDOUT, PACK, "split")
"""Beside the number of tasks that were learned, whether trainer.max_tasks led to it or not. A holdout is one of them:
runs with it train on fewer images and are ranked by other ones. So is a pack: its crops come from smaller images."""

_COPY = "a copy of"


@dataclass(eq=False)
class Group:
    """Runs of one configuration. One run a unit (seed, class order) counts; `repeats` holds all of each unit."""

    settings: dict[str, Any]
    """Settings that can change a result, without seed, class order and test set."""
    runs: dict[Unit, Run]
    repeats: dict[Unit, list[Run]]
    names: set[str] = field(default_factory=set)
    """Names of all its runs (of the experiments they belong to), those that repeat another one included: `baseline`
    and a sweep's run of the same settings are one group."""
    label: str = ""
    twin: "Group | None" = None
    """The group before it whose training is the same: they differ in nothing that either of them trains with."""

    training_label: str = ""
    """Without the settings that it does not train with, where it has twins."""

    @property
    def spoken(self) -> str:
        """What it is called where its training matters alone."""
        return self.training_label or self.label

    @property
    def training(self) -> "Group":
        """The first group of this training: itself, unless it is a twin."""
        return self.twin or self

    @property
    def seeds(self) -> list[Any]:
        """Seeds, in order."""
        return sorted({run.seed for run in self.runs.values()}, key=natural)

    @property
    def chosen_by(self) -> dict[str, Any]:
        """Settings that choose it by KEY=VALUE: its own, and where its stream was cut off."""
        return self.settings | {CUT: next(iter(self.runs.values())).cut_after}

    def summary(self, figure: str) -> Summary:
        """Mean and deviation of a figure over the runs."""
        return summarise([figure_value(run, figure) for run in self.runs.values()])


@dataclass
class Problem:
    """Groups that learned the same classes of the same data set in the same steps."""

    title: str
    groups: list[Group]
    finished: list[Run]
    """Every finished run, also those that repeat another one."""
    keys: list[str] = field(default_factory=list)
    """Settings in which the groups differ (but for those that follow from another one)."""
    baseline: Group | None = None
    baseline_reason: str = ""
    baseline_declared: bool = False
    """The baseline is one by name or by --baseline, not the report's guess."""
    warnings: list[str] = field(default_factory=list)

    @property
    def runs(self) -> list[Run]:
        """Every run that counts."""
        return [run for group in self.groups for run in group.runs.values()]

    @property
    def variants(self) -> list[Group]:
        """Every training but the baseline's; of groups that train the same, the first."""
        base = self.baseline.training if self.baseline else None
        return [group for group in self.groups if group.twin is None and group is not base]

    @property
    def has_val(self) -> bool:
        """Whether every run has figures on validation images."""
        return all(run.result.get("val") for run in self.runs)


def natural(value: Any) -> list[tuple[int, float, str]]:
    """Sort key: numbers inside a text by value, so that 10 comes after 9."""
    parts = re.split(r"(\d+(?:\.\d+)?)", str(value))
    return [(0, float(part), "") if i % 2 else (1, 0.0, part) for i, part in enumerate(parts) if part]


def make_problems(runs: Sequence[Run]) -> tuple[list[Problem], list[Excluded]]:
    """Problems with their groups, and the runs that repeat another one."""
    by_problem: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_problem[_problem_key(run)].append(run)
    problems, duplicates = [], []
    for members in by_problem.values():
        groups, repeated = _make_groups(members)
        duplicates += repeated
        problem = Problem(_title(members[0]), groups, members)
        problem.keys = shown_keys(groups)
        _label(problem)
        groups.sort(key=lambda group: natural(group.label))
        _find_twins(problem)
        problems.append(problem)
    problems.sort(key=lambda problem: natural(problem.title))
    _tell_apart(problems)
    return problems, duplicates


def _find_twins(problem: Problem) -> None:
    """E.g. InfoNCE with two margins: only its statistics are measured with the margin."""
    first: dict[str, Group] = {}
    for group in problem.groups:
        trained = sorted((k, frozen(v)) for k, v in group.settings.items() if not unused(group.settings, k))
        other = first.setdefault(frozen(trained), group)
        group.twin = None if other is group else other
        if group.twin:
            other.training_label = group.training_label = group_text(group, problem.keys)


def _tell_apart(problems: Sequence[Problem]) -> None:
    """Titles of their own for problems that look alike, by the keys in which they differ."""
    counts = Counter(problem.title for problem in problems)
    for title in [title for title, count in counts.items() if count > 1]:
        alike = [problem for problem in problems if problem.title == title]
        settings = [problem.finished[0].settings for problem in alike]
        keys = dict.fromkeys(key for one in settings for key in one if covered(key, _PROBLEM_KEYS))
        differing = [key for key in keys if len({frozen(one.get(key)) for one in settings}) > 1]
        for problem, own in zip(alike, settings, strict=True):
            problem.title += f" ({', '.join(f'{key}={show_setting(own.get(key))}' for key in differing)})"


def _problem_key(run: Run) -> str:
    kept = {key: value for key, value in run.settings.items() if covered(key, _PROBLEM_KEYS)}
    return frozen([sorted(kept.items()), len(run.result["matrices"]["top1"])])


def _title(run: Run) -> str:
    sizes = [task.get("size") for task in sorted(run.result["tasks"], key=lambda task: task.get("task", 0))]
    tasks = len(run.result["matrices"]["top1"])
    shown = str(sizes[0])
    if len(set(sizes)) > 1:
        later = f"{len(sizes) - 1} x {sizes[1]}"
        shown += f" + {later}" if len(set(sizes[1:])) == 1 else "".join(f"+{size}" for size in sizes[1:])
    dataset = run.settings.get("dataset.name", run.result.get("dataset", "?"))
    title = f"{dataset}, {tasks} task{'s' if tasks > 1 else ''} of {shown} classes"
    held, side = run.settings.get(HOLDOUT), run.settings.get(PACK)
    title += f", from a pack of {side} pixels" if side else ""
    return f"{title}, {held} training images a class held out" if held else title


def _make_groups(runs: list[Run]) -> tuple[list[Group], list[Excluded]]:
    left_out = {"seed", *ORDER_KEYS, *TEST_SET_KEYS}
    by_settings: dict[str, Group] = {}
    duplicates = []
    for run in sorted(runs, key=lambda run: (str(run.status.get("started", "")), str(run.path))):
        settings = {key: value for key, value in run.identity.items() if key not in left_out}
        group = by_settings.setdefault(
            frozen(sorted((k, frozen(v)) for k, v in settings.items())), Group(settings, {}, {})
        )
        group.names.add(run.name)
        first = group.runs.setdefault(run.unit, run)
        repeats = group.repeats.setdefault(run.unit, [])
        if first is not run:
            reason, is_repeat = _duplicate_of(first, run, repeats)
            same = is_repeat or reason == _COPY
            duplicates.append(Excluded(run.path, f"duplicate: {reason} {first.path}", same))
            if not is_repeat:
                continue
        repeats.append(run)
    return list(by_settings.values()), duplicates


def _duplicate_of(first: Run, run: Run, repeats: Sequence[Run]) -> tuple[str, bool]:
    """What `run` is to the `first` run of its unit, and whether it counts for the noise floor."""
    if run.identity != first.identity:
        return "same seed, another test set than", False
    if code_version(run) != code_version(first):
        return "same configuration, other code than", False
    if bool(run.memory_events) != bool(first.memory_events):
        return "same configuration, but only one of the two ran out of memory and trained in micro-batches:", False
    images = [[task.get("train_images") for task in one.result["tasks"]] for one in (first, run)]
    if images[0] != images[1]:
        return "same configuration, other numbers of training images than", False
    if any(run.result == other.result for other in repeats):  # not even the seconds differ
        return _COPY, False
    return "a repeat (for the noise floor only) of", True


def shown_keys(groups: list[Group]) -> list[str]:
    """Settings in which the groups differ, but for those that follow from another one."""
    candidates = [key for key in _all_keys(groups) if len({frozen(g.settings.get(key, ABSENT)) for g in groups}) > 1]
    # Every pair of groups is looked at, with no more keys than can matter.
    kept = {*candidates, *(owner for group in groups for key in candidates for owner in owners(group.settings, key))}
    narrow = [{key: value for key, value in group.settings.items() if key in kept} for group in groups]
    shown: set[str] = set()
    for i, a in enumerate(narrow):
        for b in narrow[:i]:
            shown |= set(real_differences(a, b))
    return [key for key in candidates if key in shown]


def _all_keys(groups: list[Group]) -> list[str]:
    return list(dict.fromkeys(key for group in groups for key in group.settings))


def _label(problem: Problem) -> None:
    groups = problem.groups
    names = [next(iter(group.names)) if len(group.names) == 1 else "" for group in groups]
    if len(groups) == 1 or (all(names) and len(set(names)) == len(groups)):
        for group, name in zip(groups, names, strict=True):
            group.label = name or group_text(group, problem.keys) or "runs"
        return
    short = [_values(group, [key for key in _used(group, problem.keys) if not _is_off(group, key)]) for group in groups]
    for group, text in zip(groups, short, strict=True):
        telling = all(short) and len(set(short)) == len(groups)
        group.label = text if telling else group_text(group, problem.keys) or "the rest"
    counts = Counter(group.label for group in groups)
    for twins in ([g for g in groups if g.label == label] for label, count in counts.items() if count > 1):
        # They differ in a key that trains nothing, such as the margin InfoNCE's violation rate is measured with.
        differing = [key for key in _all_keys(twins) if len({frozen(g.settings.get(key, ABSENT)) for g in twins}) > 1]
        for group in twins:
            kept = "" if group.label == "the rest" else group.label
            group.label = f"{kept} {_values(group, differing)}".strip()


def group_text(group: Group, keys: Sequence[str]) -> str:
    """The group's values of `keys`, e.g. 'loss=ant ant_margin=0.1'; keys it does not use are left out."""
    return _values(group, _used(group, keys))


def _used(group: Group, keys: Sequence[str]) -> list[str]:
    return [key for key in keys if not unused(group.settings, key)]


def _is_off(group: Group, key: str) -> bool:
    return means_off(key, group.settings.get(key, ABSENT))


def _values(group: Group, keys: Sequence[str]) -> str:
    everything = list(group.settings)
    ordered = sorted(keys, key=lambda key: not key.endswith(".name"))
    return " ".join(f"{short_name(key, everything)}={show_setting(group.settings.get(key, ABSENT))}" for key in ordered)
