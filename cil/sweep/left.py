"""How long a sweep still takes, from what its finished jobs took. Imports no torch."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from cil.planning.plan import Job
from cil.records.states import State, look
from cil.sweep.hours import device_name, hours_of, kind_of


@dataclass(frozen=True)
class Work:
    """A job as work to do; plain data, so that it travels to other processes."""

    folder: Path
    kind: str
    """Jobs of one kind take about equally long (cil/sweep/hours.py)."""


def as_hydra_has_it(folder: Path) -> Path:
    """A job's folder as its `hydra.runtime.output_dir`: absolute, without `..`."""
    return Path(os.path.abspath(folder))


def work_of(jobs: Iterable[tuple[Job, Path]]) -> list[Work]:
    """The work of jobs, given with their folders."""
    found, devices = [], {}
    for job, folder in jobs:
        device = job.config.device
        if device not in devices:
            devices[device] = device_name(device)  # may start a process
        found.append(Work(as_hydra_has_it(folder), kind_of(job.effective, devices[device])))
    return found


@dataclass(frozen=True)
class SweepLeft:
    """Forecasts the time until all jobs of a sweep are done."""

    jobs: Sequence[Work]
    earlier: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Kind -> hours of runs that were finished before the sweep began."""

    def seconds(self, but: Path | None = None) -> float | None:
        """Seconds left, shared by the jobs that run at present and the one in `but`; None while nothing is known."""
        took, left, running = [], [], 1
        for job in self.jobs:
            found = look(job.folder)
            if found.state is State.finished:
                took.append((job.kind, _hours(found.result)))
            elif found.state is not State.failed:
                running += found.state is State.running and job.folder != but
                share = (found.status.get("progress") or {}).get("share")
                left.append((job.kind, 1 - share if isinstance(share, int | float) else 1.0))
        known: dict[str, list[float]] = {}
        for kind, hours in took:
            if hours is not None:
                known.setdefault(kind, []).append(hours)
        known = {kind: list(hours) for kind, hours in self.earlier.items()} | known
        anyone = [hours for job in self.jobs for hours in known.get(job.kind, ())]
        if not anyone or not left:
            return None if left else 0.0
        total = sum(share * fmean(known.get(kind) or anyone) for kind, share in left)
        return 3600 * total / min(running, len(left))


def _hours(result: Mapping[str, object]) -> float | None:
    try:
        return hours_of(result)
    except (KeyError, TypeError):
        return None
