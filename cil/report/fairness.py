"""What a comparison is about, what makes it unfair, and what a reader must be warned of."""

from collections import defaultdict
from collections.abc import Sequence
from hashlib import sha256

from cil.report.figures import VAL
from cil.report.groups import Group, Problem
from cil.report.runs import Run
from cil.report.settings import (
    LOSS_FAMILY,
    covered,
    real_differences,
    short_name,
    show_setting,
)

_NOT_ASSUMED = ("loss.temperature", "loss.nce_alpha", "loss.negatives")
"""What InfoNCE and ANT have in common: a variant that changes it beside its own settings has to be told so."""


def factor_of(problem: Problem, declared: Sequence[str]) -> tuple[list[str], str]:
    """Patterns of the keys that comparisons are about, and how that was decided.

    declared (--factor) wins; then the only key in which the groups differ; then the contrastive loss as a whole,
    if the groups differ in it.
    """
    if declared:
        patterns = [pattern for key in declared for pattern in _expand(key, problem)]
        return patterns, f"{', '.join(declared)} (declared)"
    if len(problem.keys) == 1:
        return list(problem.keys), f"{problem.keys[0]} (the only setting in which the groups differ)"
    assumed = [key for key in problem.keys if covered(key, LOSS_FAMILY) and key not in _NOT_ASSUMED]
    if assumed:
        return assumed, "the contrastive loss and its margin (assumed; --factor KEY declares another)"
    return [], "none (the groups differ in several settings; --factor KEY declares one)"


def _expand(key: str, problem: Problem) -> list[str]:
    """`loss` stands for all it brings along (its margin schedule too), `gap_beta` for loss.gap_beta."""
    if key == "loss":
        return list(LOSS_FAMILY)
    return [key, *(full for full in problem.keys if full.rpartition(".")[2] == key)]


def beyond_factor(a: Group, b: Group, factor: Sequence[str]) -> tuple[list[str], list[str]]:
    """Settings in which two groups differ, and those of them that are not part of the factor, as texts."""
    differing, beyond = [], []
    for key in real_differences(a.settings, b.settings):
        values = [show_setting(group.settings.get(key, "absent")) for group in (b, a)]
        text = f"{short_name(key, list(a.settings))} {values[0]} → {values[1]}"
        differing.append(text)
        if not covered(key, factor):
            beyond.append(f"{key} {values[0]} → {values[1]}")
    return differing, beyond


def without_effect(problem: Problem) -> list[str]:
    """Warnings for settings that changed neither losses nor accuracies: the runs themselves say so.

    Two groups that agree in every loss of every epoch and in every accuracy matrix, for all common seeds.
    """
    prints = [{unit: _fingerprint(run) for unit, run in group.runs.items()} for group in problem.groups]
    found: dict[tuple[str, ...], list[tuple[Group, Group, int]]] = defaultdict(list)
    for i, a in enumerate(problem.groups):
        for j in range(i):
            if a.training is problem.groups[j].training:
                continue  # no wonder, and told by twin_notes
            common = prints[i].keys() & prints[j].keys()
            if common and all(prints[i][unit] == prints[j][unit] for unit in common):
                keys = real_differences(problem.groups[j].settings, a.settings)
                found[tuple(keys)].append((problem.groups[j], a, len(common)))
    warnings = []
    for names, pairs in found.items():
        a, b, _ = pairs[0]
        values = " and ".join(
            ", ".join(f"{key}={show_setting(group.settings.get(key))}" for key in names) for group in (a, b)
        )
        seeds = min(count for *_, count in pairs)
        more = f" (and {len(pairs) - 1} more pairs of values)" if len(pairs) > 1 else ""
        warnings.append(
            f"no effect: {values}{more} gave the same losses and accuracies, bit for bit, in all {seeds} common "
            f"run{'s' if seeds > 1 else ''}. {', '.join(names) or 'The difference'} changes nothing here."
        )
    return warnings


def twin_notes(problem: Problem) -> list[str]:
    """One line for each training that several groups are of: they count as one variant."""
    notes = []
    for first in problem.groups:
        twins = [group for group in problem.groups if group.twin is first]
        if twins:
            named = ", ".join(group.label for group in (first, *twins))
            notes.append(
                f"{problem.title}: {named} train the same and count as one: they differ only in settings that they do "
                "not train with, such as the margin that statistics are measured with."
            )
    return notes


def _fingerprint(run: Run) -> str:
    trained = {tag: values for tag, values in run.curves.values.items() if tag.startswith(("loss/", "train/"))}
    text = repr((run.result["matrices"], sorted(trained.items()), run.curves.steps))
    return sha256(text.encode()).hexdigest()


def chance_warnings(problem: Problem) -> list[str]:
    """Runs that learned nothing of a task: whatever is compared with them, a mean over them is of failures too."""
    failed = {g.label: [run for run in g.runs.values() if _unlearned(run)] for g in problem.groups}
    count = sum(map(len, failed.values()))
    if not count:
        return []
    named = [f"{label} (seed {', '.join(str(run.seed) for run in runs)})" for label, runs in failed.items() if runs]
    return [
        f"{problem.title}: {count} of {len(problem.runs)} runs did not learn the classes of a task (accuracy on them "
        f"is at chance level), and count in the means all the same: {'; '.join(named)}."
    ]


def _unlearned(run: Run) -> bool:
    return any(task.get("new_classes_at_chance") for task in run.result["tasks"])


def code_notes(problem: Problem) -> list[str]:
    """Differences between runs that should not move numbers, but might."""
    notes = []
    split = [run for run in problem.runs if run.memory_events]
    if split:
        notes.append(
            f"{problem.title}: {len(split)} of {len(problem.runs)} runs ran out of memory and trained on in "
            f"micro-batches, with batch statistics of fewer images: {', '.join(str(run.path) for run in split)}."
        )
    commits = {str(run.result.get("git_commit")) for run in problem.runs}
    if len(commits) > 1:
        shown = ", ".join(sorted(commit[:10] for commit in commits))
        same = "of the same versions of all parts that they use"
        notes.append(f"{problem.title}: runs of {len(commits)} commits ({shown}), {same}.")
    if any("+changes" in commit for commit in commits):
        notes.append(f"{problem.title}: some runs are of a tree with uncommitted changes.")
    for what, values in (
        ("torch", {str((run.result.get("versions") or {}).get("torch")) for run in problem.runs}),
        ("device", {str((run.result.get("device") or {}).get("name")) for run in problem.runs}),
        ("CPU thread counts (they move the last bits of results)", _threads(problem.runs)),
    ):
        if len(values) > 1:
            named = what if " " in what else f"{what}s"
            notes.append(f"{problem.title}: runs of several {named}: {', '.join(sorted(values))}.")
    return notes


def _threads(runs: Sequence[Run]) -> set[str]:
    """Numbers of CPU threads, where they are known: results of earlier versions do not tell."""
    found = {tuple((run.result.get("device") or {}).get("thread_counts") or ()) for run in runs}
    return {" and then ".join(map(str, counts)) for counts in found if counts}


def primary_figure(problem: Problem) -> tuple[str, str]:
    """The figure that ranks variants, and what has to be said about it."""
    if problem.has_val:
        return f"{VAL}incremental_avg_top1", (
            "Ranked by the validation images (dataset.holdout_per_class); the test figures played no part in it."
        )
    some = any(run.result.get("val") for run in problem.runs)
    why = "not every run has validation images" if some else "no validation images (dataset.holdout_per_class)"
    return "incremental_avg_top1", (
        f"Ranked by test figures: {why}. A setting chosen from this page is chosen on the test set, so its test "
        "figures are too good by an unknown amount."
    )
