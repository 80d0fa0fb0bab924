"""What is said of runs whose model and exemplars share a memory budget (memory.total_mb)."""

from cil.report.figures import figure_of
from cil.report.groups import Group, Problem

BUDGET = "memory.total_mb"


def matched_lines(problem: Problem) -> list[str]:
    """A line for each group with a budget, and one that names those without; none where no group has one."""
    matched = [group for group in problem.groups if group.settings.get(BUDGET) is not None]
    lines = [_line(group) for group in matched]
    others = [group.label for group in problem.groups if group not in matched]
    if matched and others:
        lines.append(f"Without a budget ({BUDGET}), so not matched: {', '.join(others)}.")
    return lines


def _line(group: Group) -> str:
    counts = sorted({run.result["tasks"][-1].get("exemplars", 0) for run in group.runs.values()})
    kept = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    total = figure_of("total_mb")
    used = group.summary(total.key).mean
    shown = "" if used is None else f", {total.show(used)} MB in all"
    return (
        f"Memory-matched: {group.label}: model and exemplars take at most {group.settings[BUDGET]:g} MB after every "
        f"task ({BUDGET}); after the last one {kept} exemplars{shown}."
    )
