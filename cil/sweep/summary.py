"""What is said about a sweep: the table at its end, and sweep.json in its folder."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from cil.files import write_atomically
from cil.planning.plan import Job, Plan
from cil.records.folder import now, plain
from cil.records.states import State
from cil.run.table import table
from cil.sweep.found import find
from cil.sweep.labels import common

FIGURES = {
    "average": "incremental_avg_top1",
    "last": "last_top1",
    "forgetting": "forgetting_top1",
    "NME average": "nme_incremental_avg_top1",
}
"""Headline figures of result.json, by column of the table."""

SWEEP_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Row:
    """What became of a job."""

    id: str
    folder: str | None
    overrides: list[str]
    copies: list[list[str]]
    state: str
    """ok, skipped (finished before), failed, interrupted, running (in another process) or not started."""
    error: str | None
    figures: dict[str, float | None]
    threads: list[int] = field(default_factory=list)
    """Numbers of CPU threads it was computed with, where they are known."""
    label: str = ""
    """What tells it apart from the other jobs of the sweep."""

    @staticmethod
    def of(job: Job, folder: Path | None, before: State, error: str | None, label: str = "") -> "Row":
        """The row of a job, from its folder as it is now and what its launcher said.

        Where the folder holds another run, the job has failed, and that run's figures are not shown.
        """
        found = find(job, folder)
        names = {State.new: "not started", State.finished: "skipped" if before is State.finished else "ok"}
        state = names.get(found.state, found.state.value)
        if error is not None and state in ("not started", "interrupted"):
            state = "failed"
        text = None if state in ("ok", "skipped", "interrupted") else found.status.get("error") or error
        figures = {name: found.result.get(name) for name in FIGURES.values()}
        threads = (found.result.get("device") or {}).get("thread_counts") or []
        place = None if folder is None else str(folder)
        return Row(job.run_id, place, job.overrides, job.copies, state, text, figures, threads, label)

    @property
    def good(self) -> bool:
        """Whether the job has a result."""
        return self.state in ("ok", "skipped")


def thread_warnings(rows: Sequence[Row]) -> list[str]:
    """One line if finished jobs were computed by different numbers of CPU threads."""
    counts = {count for row in rows if row.good for count in row.threads}
    if len(counts) < 2:
        return []
    listed = " and ".join(map(str, sorted(counts)))
    return [f"jobs ran with {listed} CPU threads, which moves the last bits of results; OMP_NUM_THREADS=N sets them"]


def swept_keys(jobs: Sequence[Job]) -> dict[str, list[str]]:
    """Keys with several values in a sweep, and the values in order of appearance; copies count."""
    values: dict[str, list[str]] = {}
    for overrides in (overrides for job in jobs for overrides in (job.overrides, *job.copies)):
        for text in overrides:
            key, _, value = text.partition("=")
            known = values.setdefault(key.lstrip("+"), [])
            if value not in known:
                known.append(value)
    return {key: found for key, found in values.items() if len(found) > 1}


def sweep_table(rows: Sequence[Row], warnings: Sequence[str], seconds: float) -> str:
    """Warnings, one line a job, errors, and how many jobs are in which state."""
    lines = [f"warning: {warning}" for warning in warnings]
    shared = common([row.overrides for row in rows])
    if shared:
        lines.append(f"all jobs: {' '.join(shared)}")
    content = [["state", "folder", *FIGURES, "settings"]]
    for row in rows:
        figures = ["-" if row.figures[name] is None else f"{row.figures[name]:z.2f}" for name in FIGURES.values()]
        own = row.label or " ".join(text for text in row.overrides if text not in shared) or "-"
        content.append([row.state, row.id, *figures, own])
    lines.append(table(content, texts=(0, 1, len(content[0]) - 1)))
    lines += [f"{row.state}: {row.id}: {row.error}" for row in rows if row.error]
    states = [row.state for row in rows]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    return "\n".join([*lines, f"{len(rows)} jobs: {counts}; {tqdm.format_interval(seconds)}"])


def write_sweep_files(planned: Plan, rows: Sequence[Row], warnings: Sequence[str]) -> None:
    """Write sweep.json beside the jobs' folders: one file for each name, if the sweep has several.

    A file keeps what earlier sweeps of the folder said, unless this one holds all of their jobs again.
    """
    parents = {Path(row.folder).parent for row in rows if row.folder is not None and Path(row.folder).parent.is_dir()}
    for parent in sorted(parents):
        own = [row for row in rows if row.folder is not None and Path(row.folder).parent == parent]
        entry = {
            "command": planned.argv,
            "updated": now(),
            "swept": swept_keys(planned.jobs),
            "warnings": list(warnings),
            "notes": planned.notes,
            "jobs": [asdict(row) for row in own],
        }
        ids = {row.id for row in own}
        sweeps = [old for old in _earlier(parent) if not {job["id"] for job in old["jobs"]} <= ids] + [entry]
        content = {
            "schema_version": SWEEP_SCHEMA_VERSION,
            "warnings": list(dict.fromkeys(line for sweep in sweeps for line in sweep["warnings"])),
            "sweeps": sweeps,
        }
        write_atomically(parent / "sweep.json", json.dumps(plain(content), indent=1) + "\n")


def earlier_jobs(parent: Path) -> list[dict[str, Any]]:
    """The rows (see Row) of all sweeps that wrote into this folder, the newest of each job."""
    found = {job["id"]: job for sweep in _earlier(parent) for job in sweep["jobs"]}
    return [job for job in found.values() if job.get("folder")]


def _earlier(parent: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads((parent / "sweep.json").read_text())
        return content["sweeps"] if content.get("schema_version") == SWEEP_SCHEMA_VERSION else []
    except (OSError, ValueError, KeyError, AttributeError):
        return []
