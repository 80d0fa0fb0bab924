"""What must not be averaged: runs of several class orders, test sets or versions of the code."""

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any

from cil.config.class_list import hash_of_result
from cil.report.errors import ReportError
from cil.report.groups import Problem
from cil.report.runs import Excluded, Run, code_version
from cil.report.settings import TEST_SET_KEYS, frozen, show_setting

ALLOWABLE = ("class_order", "test_set", "code")
_EXAMPLES = 3


def check_mixtures(
    problems: Sequence[Problem], allowed: Collection[str]
) -> tuple[list[Problem], list[str], list[Excluded]]:
    """The problems that may be reported, warnings for the mixtures in them, and the runs of all the others.

    One problem that is refused takes none of the others with it. Raises ReportError where nothing is left.
    """
    kept, refusals, warnings = [], [], []
    excluded: list[Excluded] = []
    for problem in problems:
        found = _mixtures(problem)
        refused = [(kind, text) for kind, text in found if kind not in allowed]
        if refused:
            kind, text = refused[0]
            refusals.append(f"{problem.title}: refused, {text}; choose paths that agree, or --allow {kind}")
            excluded += [Excluded(run.path, f"its problem is refused: {problem.title}") for run in problem.runs]
        else:
            kept.append(problem)
            warnings += [f"{problem.title}: {text}. They are averaged all the same (--allow {k})." for k, text in found]
    if refusals and not kept:
        more = f" (and {len(refusals) - 1} more problems)" if len(refusals) > 1 else ""
        raise ReportError(refusals[0] + more)
    return kept, [*refusals, *warnings], excluded


def _mixtures(problem: Problem) -> list[tuple[str, str]]:
    """(what --allow calls it, what is said of it)."""
    runs = problem.finished
    versions = {id(run): code_version(run) for run in runs}
    mixed = _mixed_parts(list(versions.values()))
    keys = [key for key in TEST_SET_KEYS if len({frozen(run.settings.get(key)) for run in runs}) > 1]
    checks: tuple[tuple[str, str, dict[int, Hashable], Callable[[Run], str]], ...] = (
        ("class_order", "class orders", {id(run): run.order for run in runs}, _show_order),
        ("test_set", "test sets", _test_sets(runs), lambda run: _show_test_set(run, keys)),
        (
            "code",
            "versions of the code that made the numbers",
            {key: tuple(one.get(part) for part in mixed) for key, one in versions.items()},
            lambda run: _show_code(versions[id(run)], mixed),
        ),
    )
    found = []
    for kind, what, values, show in checks:
        alike: dict[Hashable, list[Run]] = defaultdict(list)
        for run in runs:
            alike[values[id(run)]].append(run)
        if len(alike) > 1:
            shown = "; ".join(_example(show(members[0]), members) for members in list(alike.values())[:_EXAMPLES])
            more = "; ..." if len(alike) > _EXAMPLES else ""
            found.append((kind, f"the runs have {len(alike)} {what} ({shown}{more})"))
    return found


def _example(text: str, runs: Sequence[Run]) -> str:
    return f"{text} in {runs[0].path}" + (f" and {len(runs) - 1} more" if len(runs) > 1 else "")


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


def _show_test_set(run: Run, keys: Sequence[str]) -> str:
    """The number of images, and those settings alone in which the runs differ."""
    images = run.result["tasks"][-1].get("test_images")
    parts = [] if images is None else [f"{images} images"]
    return ", ".join([*parts, *(f"{key.rpartition('.')[2]} {show_setting(run.settings.get(key))}" for key in keys)])


def _show_code(versions: dict[str, Any], mixed: Sequence[str]) -> str:
    return ", ".join(f"{part} {'?' if versions.get(part) is None else versions[part]}" for part in mixed)


def _mixed_parts(versions: Sequence[dict[str, Any]]) -> list[str]:
    """Parts of the program that the runs using them have several versions of."""
    found: dict[str, set[Any]] = {}
    for one in versions:
        for part, version in one.items():
            found.setdefault(part, set()).add(version)
    return [part for part, several in found.items() if len(several) > 1]
