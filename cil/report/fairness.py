"""What must not be averaged or compared, and what a reader must be warned of."""

from collections import defaultdict
from collections.abc import Collection, Hashable, Sequence
from hashlib import sha256
from typing import Any

from cil.config.class_list import hash_of_result
from cil.report.errors import ReportError
from cil.report.figures import VAL
from cil.report.groups import Group, Problem
from cil.report.runs import Run, code_version
from cil.report.settings import (
    LOSS_FAMILY,
    TEST_SET_KEYS,
    covered,
    real_differences,
    short_name,
    show_setting,
)

_NOT_ASSUMED = ("loss.temperature", "loss.nce_alpha", "loss.negatives")
"""What InfoNCE and ANT have in common: a variant that changes it beside its own settings has to be told so."""

ALLOWABLE = ("class_order", "test_set", "code")


def check_mixtures(problems: Sequence[Problem], allowed: Collection[str]) -> list[str]:
    """Warnings for mixtures that were allowed. Raises ReportError for one that was not."""
    warnings = []
    for problem in problems:
        for kind, text in _mixtures(problem):
            if kind not in allowed:
                raise ReportError(f"{problem.title}: refused, {text}; choose paths that agree, or --allow {kind}")
            warnings.append(f"{problem.title}: {text}. Their figures are averaged all the same (--allow {kind}).")
    return warnings


def _mixtures(problem: Problem) -> list[tuple[str, str]]:
    runs = problem.finished
    checks = (
        ("class_order", "class orders", {id(run): run.order for run in runs}, _show_order),
        ("test_set", "test sets", _test_sets(runs), _show_test_set),
        (
            "code",
            "versions of the code that made the numbers",
            _code_versions(runs),
            _show_code,
        ),
    )
    found = []
    for kind, what, values, show in checks:
        examples: dict[Hashable, Run] = {}
        for run in runs:
            examples.setdefault(values[id(run)], run)
        if len(examples) > 1:
            shown = "; ".join(f"{show(run)} in {run.path}" for run in list(examples.values())[:3])
            found.append((kind, f"the runs have {len(examples)} {what} ({shown})"))
    return found


def _test_sets(runs: Sequence[Run]) -> dict[int, Hashable]:
    """A value for each run that differs where the test images do, as far as result.json and config.yaml tell."""
    values: dict[int, Hashable] = {}
    for run in runs:
        keys = tuple(repr(run.settings.get(key)) for key in TEST_SET_KEYS if key != "dataset.class_list")
        values[id(run)] = (keys, hash_of_result(run.result))
    counts: dict[Hashable, set[tuple[Any, ...]]] = defaultdict(set)
    images = {
        id(run): tuple((task.get("test_images"), *task.get("names", ())) for task in run.result["tasks"])
        for run in runs
    }
    for run in runs:  # images and names can be compared only where the classes come in the same order
        counts[run.order].add(images[id(run)])
    return {id(run): (values[id(run)], images[id(run)] if len(counts[run.order]) > 1 else None) for run in runs}


def _show_order(run: Run) -> str:
    order = run.settings.get("class_order")
    if isinstance(order, list):
        return f"a list starting with {', '.join(map(str, order[:5]))}"
    return f"{order} with class_order_seed {run.settings.get('class_order_seed')}" if order == "random" else f"{order}"


def _show_test_set(run: Run) -> str:
    parts = [f"{key.rpartition('.')[2]} {show_setting(run.settings.get(key))}" for key in TEST_SET_KEYS]
    images = run.result["tasks"][-1].get("test_images")
    return f"{', '.join(parts)}, {images} images" if images is not None else ", ".join(parts)


def _show_code(run: Run) -> str:
    versions = [f"{part} {'?' if version is None else version}" for part, version in code_version(run).items()]
    return f"versions: {', '.join(versions)}"


def _code_versions(runs: Sequence[Run]) -> dict[int, Hashable]:
    """Versions by run, of those parts alone that the runs using them have several of."""
    versions = {id(run): code_version(run) for run in runs}
    found: dict[str, set[Any]] = {}
    for one in versions.values():
        for part, version in one.items():
            found.setdefault(part, set()).add(version)
    mixed = [part for part, several in found.items() if len(several) > 1]
    return {run: tuple(one.get(part) for part in mixed) for run, one in versions.items()}


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


def _fingerprint(run: Run) -> str:
    trained = {tag: values for tag, values in run.curves.values.items() if tag.startswith(("loss/", "train/"))}
    text = repr((run.result["matrices"], sorted(trained.items()), run.curves.steps))
    return sha256(text.encode()).hexdigest()


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
