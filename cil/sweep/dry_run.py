"""`dry_run=true`: what a command would do. Starts and creates nothing, and imports no torch."""

from pathlib import Path

from cil.planning.plan import Job, Plan
from cil.records.states import Found, State
from cil.records.tags import tags_and_notes
from cil.run.table import table
from cil.sweep import labels
from cil.sweep.found import find
from cil.sweep.hours import Estimate, cpu_name, estimate

MEANINGS = {
    State.new: "new",
    State.running: "running",
    State.interrupted: "to continue",
    State.failed: "failed, to try again",
    State.finished: "done",
}
"""State of a job's folder -> what the command would find."""


def show_plan(planned: Plan) -> str:
    """The jobs, which of them are done, and the hours left."""
    found = [(job, find(job, _folder(planned, job))) for job in planned.jobs]
    stored = "(as stored)" if planned.resume is not None or planned.rerun else "(defaults)"
    shared = labels.common([job.overrides for job in planned.jobs])
    rows = [["state", "id", "settings"]]
    for (job, state), label in zip(found, labels.lines(planned.jobs), strict=True):
        rows.append([MEANINGS[state.state], job.run_id, label if job.overrides else stored])
    copies = sum(len(job.copies) for job in planned.jobs)
    counts = [MEANINGS[state.state] for _, state in found]
    parts = [f"{counts.count(meaning)} {meaning}" for meaning in dict.fromkeys(counts)]
    if copies:
        parts.append(f"{copies} more of the grid the same as one of these")
    lines = [f"all jobs: {' '.join(shared)}"] if shared else []
    lines += [table(rows, texts=(0, 1, 2)), f"{len(found)} job{'' if len(found) == 1 else 's'}: {', '.join(parts)}"]
    lines += planned.notes
    if planned.multirun and not planned.grid:
        lines.append("the sweeper (hydra/sweeper) chooses the values while it runs: more jobs than these")
    left = [(job, _left(state)) for job, state in found if state.state is not State.finished]
    if left:
        lines.append(_hours(estimate(left, _roots(planned)), len(left)))
    said = (f"{name}: {text}" for job in planned.jobs for name, text in tags_and_notes(job.config).items())
    lines += dict.fromkeys(said)
    places = dict.fromkeys(str(job.folder.parent) for job in planned.jobs if job.folder is not None)
    if places:
        lines.append(f"in {', '.join(places)}")
    lines.append("dry run: nothing was started or created")
    return "\n".join(lines)


def _folder(planned: Plan, job: Job) -> Path | None:
    return planned.resume if planned.resume is not None else job.folder


def _left(found: Found) -> float:
    """Share of a job's work that is left."""
    share = (found.status.get("progress") or {}).get("share")
    return 1.0 - share if isinstance(share, int | float) and found.state is not State.new else 1.0


def _roots(planned: Plan) -> set[Path]:
    """Folders to look for finished runs in."""
    parents = {folder.parent for job in planned.jobs if (folder := _folder(planned, job)) is not None}
    return {Path("outputs"), *parents}


def _hours(found: Estimate, jobs: int) -> str:
    unit = "CPU hours" if found.device == cpu_name() else "GPU hours"
    if found.unknown == jobs:
        return f"{unit}: no finished run of this kind on {found.device} to estimate from"
    runs = f"{found.runs} finished run{'' if found.runs == 1 else 's'} of the same kind on {found.device}"
    text = f"about {found.hours:.2g} {unit} left, from {runs}"
    return f"{text}; no finished run of this kind for {found.unknown} more" if found.unknown else text
