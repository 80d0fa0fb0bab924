"""Runs a sweep: what is finished stays as it is, what was interrupted goes on, what is new is started.

Hydra's launcher runs the jobs (one after another, or in parallel: hydra/launcher=...); which of them, and what
is said about them at the end, is decided here. Imports no torch.
"""

import os
import shlex
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from cil.planning.hydra_adapter import Callbacks
from cil.planning.loading import compose_with, make_loader
from cil.planning.overrides import quoted
from cil.planning.plan import Job, Plan
from cil.records.states import State, look
from cil.run.commands import command
from cil.sweep.found import find
from cil.sweep.hours import hours_by_kind
from cil.sweep.labels import lines
from cil.sweep.left import SweepLeft, as_hydra_has_it, work_of
from cil.sweep.signals import SweepSignals
from cil.sweep.summary import Row, sweep_table, thread_warnings, write_sweep_files
from cil.sweep.task import SweepTask

ATTEMPTS = 2
"""How often a job is started in one sweep if its process is killed (by the kernel, out of memory, say)."""


class Sweep:
    """The jobs of a sweep and what is known about them; a job is its number in the plan."""

    def __init__(self, planned: Plan) -> None:
        self.planned = planned
        self.folders: dict[int, Path | None] = {number: job.folder for number, job in enumerate(planned.jobs)}
        self.before = {number: self.state(number) for number in self.folders}
        """State of each job at the start."""
        self.errors: dict[int, str] = {}
        """Why a job failed, as its launcher tells."""

    @property
    def unfinished(self) -> list[int]:
        """Jobs that were not finished at the start."""
        return [number for number, state in self.before.items() if state is not State.finished]

    @property
    def placed(self) -> list[tuple[Job, Path | None]]:
        """Every job with its folder."""
        return [(job, self.folders[number]) for number, job in enumerate(self.planned.jobs)]

    def task(self) -> SweepTask:
        """What a launcher shall run for each job."""
        known = [(number, job, folder) for number, (job, folder) in enumerate(self.placed) if folder is not None]
        named = lines(self.planned.jobs)
        heads = {as_hydra_has_it(f): f"[{number + 1}/{len(named)}] {named[number]}" for number, _, f in known}
        earlier = hours_by_kind({Path("outputs"), *(folder.parent for _, _, folder in known)})
        return SweepTask(heads, SweepLeft(work_of((job, folder) for _, job, folder in known), earlier))

    def state(self, number: int) -> State:
        """State of a job now."""
        return find(self.planned.jobs[number], self.folders[number]).state

    def take(self, number: int, returned: JobReturn) -> None:
        """Note what a launcher gave back for a job."""
        if self.folders[number] is None:
            self.folders[number] = Path(returned.hydra_cfg.hydra.runtime.output_dir)  # type: ignore[union-attr]
        if returned.status is JobStatus.FAILED:
            self.errors[number] = str(returned._return_value)

    def rows(self) -> list[Row]:
        """What became of each job."""
        named = lines(self.planned.jobs)
        return [
            Row.of(job, self.folders[number], self.before[number], self.errors.get(number), named[number])
            for number, job in enumerate(self.planned.jobs)
        ]


def run_sweep(planned: Plan, warnings: Sequence[str] = ()) -> int:
    """Run every job that is not finished; the exit code: 0, or 1 if a job did not finish. Raises Interrupted.

    warnings: shown above the table and kept in sweep.json. The table of all jobs is printed, and sweep.json
    written, however the sweep ends.
    """
    from cil.sweep.curves import curve_folders, name_curves  # TensorBoard's modules take a moment

    sweep = Sweep(planned)
    started = time.monotonic()
    print(f"sweep: {len(planned.jobs)} jobs, {len(planned.jobs) - len(sweep.unfinished)} finished before", flush=True)
    notes = [*planned.notes, *name_curves(sweep.placed)]
    for note in notes:
        print(f"note: {note}", flush=True)
    try:
        with SweepSignals(lambda: list(sweep.folders.values())) as signals:
            _launch_all(sweep, signals)
    finally:
        rows = sweep.rows()
        warnings = [*warnings, *thread_warnings(rows)]
        later = [note for note in name_curves(sweep.placed, ended=True) if note not in notes]
        write_sweep_files(planned, rows, warnings)
        print(f"\n{sweep_table(rows, warnings, time.monotonic() - started)}\n", flush=True)
        for line in (*later, *_what_next(rows, curve_folders(sweep.placed))):
            print(line, flush=True)
    return 0 if all(row.good for row in rows) else 1


def _what_next(rows: Sequence[Row], curves: Sequence[Path]) -> list[str]:
    """The commands that show what the sweep found."""
    folders = dict.fromkeys(str(Path(row.folder).parent) for row in rows if row.good and row.folder is not None)
    report = [f"report: {shlex.join([*command('report').split(), *folders])}"] if folders else []
    return report + [f"curves: {shlex.join(['tensorboard', '--logdir', str(folder)])}" for folder in curves]


def _launch_all(sweep: Sweep, signals: SweepSignals) -> None:
    """Launch all that is unfinished. Where a killed process ends the whole launch, start what is left again."""
    waiting = sweep.unfinished
    tries: Counter[int] = Counter()
    while waiting:
        seen = {number: look(sweep.folders[number]).status for number in waiting}
        try:
            _launch(sweep, waiting, signals)
        except Exception as error:
            signals.check()
            text = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
            print(f"warning: the launcher stopped: {text}", flush=True)
            started = [number for number in waiting if look(sweep.folders[number]).status != seen[number]]
            tries.update(started)
            if not started:
                sweep.errors |= dict.fromkeys(waiting, f"not started, the launcher stopped: {text}")
                return
            while any(sweep.state(number) is State.running for number in started):
                time.sleep(1)  # some launchers leave the other jobs alone
            left = [number for number in waiting if sweep.state(number) in (State.new, State.interrupted)]
            waiting = [number for number in left if tries[number] < ATTEMPTS]
        else:
            return


def _launch(sweep: Sweep, numbers: Sequence[int], signals: SweepSignals) -> None:
    """One launch of these jobs. Raises what the launcher raises; failing jobs are no reason for it to."""
    jobs = sweep.planned.jobs
    context, master = _hydra(sweep.planned, jobs[numbers[0]].to_compose)
    context.callbacks.on_multirun_start(config=master, config_name="config")
    launcher: Launcher = Plugins.instance().instantiate_launcher(
        hydra_context=context, task_function=sweep.task(), config=master
    )
    if _start_ray(launcher):
        signals.take()
    first = 0
    for batch in _batches(numbers, master.hydra.sweeper.get("max_batch_size")):
        overrides = [[*jobs[number].to_compose, *_place(jobs[number])] for number in batch]
        returned = launcher.launch(overrides, initial_job_idx=first)
        first += len(batch)
        for number, one in zip(batch, returned, strict=True):
            sweep.take(number, one)
    context.callbacks.on_multirun_end(config=master, config_name="config")


def _start_ray(launcher: Launcher) -> bool:
    """Start Ray, which its launcher would do later: in starting it sets signal handlers of its own."""
    if type(launcher).__name__ != "RayLauncher":
        return False
    from hydra_plugins.hydra_ray_launcher._launcher_util import start_ray

    start_ray(launcher.ray_cfg.init)  # type: ignore[attr-defined]
    return True


def _hydra(planned: Plan, overrides: Sequence[str]) -> tuple[HydraContext, DictConfig]:
    """What Hydra's launchers need: the loader, and a configuration to take launcher and callbacks from."""
    loader = make_loader(planned.config_dir)
    given = [*planned.hydra_overrides, "hydra.mode=MULTIRUN", *overrides]

    def compose(*more: str) -> DictConfig:
        composed = compose_with(loader, [*given, *more], RunMode.MULTIRUN)
        if planned.composed is not None:
            OmegaConf.copy_cache(from_config=planned.composed, to_config=composed)
        return composed

    folder = str(OmegaConf.to_container(compose().hydra.sweep, resolve=False)["dir"])  # type: ignore[index, call-overload]
    # Processes that a launcher starts may stand in another folder.
    master = compose(f"hydra.sweep.dir={quoted(os.path.join(os.getcwd(), folder))}")
    return HydraContext(config_loader=loader, callbacks=Callbacks(master)), master


def _place(job: Job) -> list[str]:
    """Overrides that put a job where the plan has it: composed once more, ${now:...} would be another time."""
    if job.folder is None:
        return []
    folder = Path(os.getcwd()) / job.folder
    values = {"name": job.config.name, "hydra.sweep.dir": str(folder.parent), "hydra.sweep.subdir": folder.name}
    return [f"{key}={quoted(value)}" for key, value in values.items()]


def _batches(numbers: Sequence[int], size: Any) -> Iterator[Sequence[int]]:
    size = size or len(numbers)
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]
