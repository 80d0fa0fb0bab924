"""A sweep's folder for TensorBoard: `curves/NAME`, a link to each run's events under a name that tells what it is.

The folders of runs are named by hashes; the links are named anew whenever the sweep grows and other keys differ.
"""

import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from cil.errors import ConfigError
from cil.planning.plan import Job
from cil.planning.stored import stored_config
from cil.records.hparams import CURVES, columns_of_sweep
from cil.records.tensorboard import write_summary
from cil.sweep.labels import Labelled, names
from cil.sweep.summary import earlier_jobs

_EVENTS = "tensorboard"
_COLUMNS = "_columns-"


def curve_folders(jobs: Iterable[tuple[Job, Path | None]]) -> list[Path]:
    """Where TensorBoard shows these jobs, given with their folders: under names, where links could be made."""
    parents = dict.fromkeys(folder.parent for _, folder in jobs if folder is not None)
    found = [parent / CURVES for parent in parents if (parent / CURVES).is_dir()]
    return [curves if any(path.is_symlink() for path in curves.iterdir()) else curves.parent for curves in found]


def name_curves(jobs: Iterable[tuple[Job, Path | None]], ended: bool = False) -> list[str]:
    """Bring the links of these jobs, given with their folders, and those of earlier sweeps up to date.

    Before a job has begun its link leads nowhere, which TensorBoard passes over; `ended`: those are removed. Returns a
    line for each folder in which no links can be made.
    """
    by_parent: dict[Path, dict[str, Labelled]] = {}
    for job, folder in jobs:
        if folder is not None and job.config.tracking.tensorboard:
            by_parent.setdefault(folder.parent, {})[folder.name] = Labelled.of(job)
    problems = []
    for parent, runs in by_parent.items():
        try:
            _name_all(parent, _earlier_runs(parent, runs) | runs, ended)
        except OSError as error:
            reason = error.strerror or error
            problems.append(f"{parent / CURVES}: TensorBoard gets no named links ({reason}); the runs are named by id")
    return problems


def _earlier_runs(parent: Path, known: Mapping[str, Labelled]) -> dict[str, Labelled]:
    """Folder -> run of other jobs that sweeps have left in `parent`."""
    found = {}
    for row in earlier_jobs(parent):
        folder = parent / Path(row["folder"]).name
        if folder.name not in known and (folder / _EVENTS).is_dir():
            with suppress(ConfigError):  # damaged: whoever continues it is told
                found[folder.name] = Labelled(row["id"], row["overrides"], stored_config("sweep", str(folder)))
    return found


def _name_all(parent: Path, runs: Mapping[str, Labelled], ended: bool) -> None:
    """Raises OSError."""
    curves = parent / CURVES
    wanted = {
        name: Path("..", folder, _EVENTS)
        for folder, name in zip(runs, names(list(runs.values())), strict=True)
        if not ended or (parent / folder / _EVENTS).is_dir()
    }
    if wanted:
        curves.mkdir(parents=True, exist_ok=True)
        # First: where links cannot be made, the columns still hold for whoever looks at the folder above.
        _write_columns(curves, columns_of_sweep([run.effective for run in runs.values()]))
    elif not curves.is_dir():
        return
    for link in curves.iterdir():
        # A link to a run that nothing is known of here stays: another sweep may be at work.
        target = Path(os.readlink(link)) if link.is_symlink() else None
        if target is not None and target.parent.name in runs and target != wanted.get(link.name):
            link.unlink()
    for name, target in wanted.items():
        if not (curves / name).is_symlink():
            (curves / name).symlink_to(target, target_is_directory=True)
    if not wanted:
        _remove_if_empty(curves)


def _write_columns(curves: Path, columns: Any) -> None:
    """Keep one folder with the columns of the HPARAMS tab, named by them: a viewer that is open reads no tag again."""
    name = f"{_COLUMNS}{sha256(columns.SerializeToString()).hexdigest()[:6]}"
    for folder in curves.glob(f"{_COLUMNS}*"):
        if folder.name != name:
            shutil.rmtree(folder)
    if not (curves / name).is_dir():
        write_summary(curves / name, columns)


def _remove_if_empty(curves: Path) -> None:
    """Remove the folder where it holds no link: then the columns alone serve nobody."""
    left = list(curves.iterdir())
    if all(path.name.startswith(_COLUMNS) for path in left):
        shutil.rmtree(curves)
