"""A benchmark as tables for people."""

from collections.abc import Mapping
from typing import Any

from cil.run.table import table

Record = Mapping[str, Any]
HEADER = (
    "part",
    "task",
    "images/s",
    "(range)",
    "a batch",
    "computing",
    "bare nets",
    "TFLOP/s",
    "of peak",
    "peak memory",
)


def shown(record: Record) -> str:
    """The figures, then the hours."""
    facts = record["machine"]
    where = facts["gpu"] or f"{facts['cpu']}, {facts['threads']} of {facts['usable_cores']} cores"
    lines = [f"{where}; {record['images']} images, {record['settings']['trainer']['precision']}"]
    lines += [table([HEADER, *rows(record)], texts=(0,)), *skipped(record), hours_line(record)]
    return "\n".join(line for line in lines if line)


def rows(record: Record) -> list[tuple[str, ...]]:
    """One for each part and task that was measured, with the columns of HEADER."""
    found = []
    for part, figures in record["figures"].items():
        for one in figures:
            if "skipped" in one:
                continue
            found += _checkpoint_rows(one) if part == "checkpoint" else [_row(part, one)]
    return found


def _row(part: str, one: Record) -> tuple[str, ...]:
    rate, seconds = one["images_per_second"], one["seconds"]["median"]
    share, flops, peak = one.get("bare_share"), one.get("flops_per_second"), one.get("peak_share")
    return (
        part,
        str(one["task"]),
        number(rate["median"]),
        f"{number(rate['min'])} to {number(rate['max'])}",
        span(seconds),
        computing(one["seconds"]),
        "" if share is None else f"{100 * share.get('by_processor', share)['median']:.0f} %",
        "" if flops is None else number(flops["median"] / 1e12),
        "" if peak is None else f"{100 * peak['median']:.0f} %",
        "" if one.get("peak_bytes") is None else f"{one['peak_bytes'] / 1e9:.2f} GB",
    )


def computing(seconds: Record) -> str:
    """What the processor's time for this process is, and how much that is of the clock's; empty on CUDA."""
    alone = seconds.get("by_processor")
    if alone is None:
        return ""
    return f"{span(alone['median'])} ({100 * alone['median'] / seconds['median']:.0f} %)"


def _checkpoint_rows(one: Record) -> list[tuple[str, ...]]:
    size = f"{one['bytes'] / 1e6:.0f} MB"
    return [
        (
            f"{name} checkpoint, {size}",
            str(one["task"]),
            "",
            "",
            span(one[key]["median"]),
            computing(one[key]),
            "",
            "",
            "",
            "",
        )
        for name, key in (("save", "save_seconds"), ("read", "read_seconds"))
    ]


def skipped(record: Record) -> list[str]:
    """A line for each part that was not measured."""
    return [
        f"{part} in task {one['task']}: not measured, {one['skipped']}"
        for part, figures in record["figures"].items()
        for one in figures
        if "skipped" in one
    ]


def hours_line(record: Record) -> str:
    """How long the whole run would take."""
    found = record["hours"]
    if found is None:
        return ""
    names = [name for name in ("training", "evaluation", "saving") if found[name] is not None]
    parts = [f"{name} {number(found[name])}" for name in names]
    tasks = ", ".join(map(str, found["measured_tasks"]))
    of = f"all {len(found['by_task'])} tasks, from the steps of task {tasks}"
    alone = record.get("hours_on_a_core")
    core = "" if alone is None else f"; with a core of its own: {number(alone['total'])} hours"
    return f"a whole run: {number(found['total'])} hours ({'; '.join(parts)}; {of}){core}"


def number(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def span(seconds: float) -> str:
    """In the unit that fits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{number(seconds / size)} {unit}"
    return f"{number(seconds / 1e-6)} µs"
