"""How a job starts: called by Hydra, from resume=RUN, or from rerun=RUN. Imports no torch before it trains."""

import errno
import gc
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from cil.config.class_list import hash_of_result, names_hash
from cil.config.locations import check_can_be_made
from cil.config.schema import RunConfig
from cil.errors import ConfigError, DataError
from cil.planning.plan import Job, Plan, job_from_composed
from cil.planning.resolvers import register
from cil.planning.stored import refuse_differences, refuse_other_classes, stored_config
from cil.records.folder import (
    finished_result,
    is_empty,
    read_status,
    refuse_foreign,
    refuse_unfinished,
    remove_if_unused,
)
from cil.records.tags import retag
from cil.run.signals import Interrupted, signals_wait
from cil.run.table import result_table

register()  # also where another process imports this module to run a job of a sweep


def run_job(composed: DictConfig, show: bool = True) -> float | None:
    """Run the composed job in Hydra's output folder; returns its `objective`.

    show: print the tables of its result. It must stay importable: launchers send it to other processes.
    """
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    with _removed_if_unused(folder):
        job = job_from_composed(composed)
        if hydra.mode == RunMode.MULTIRUN:
            return _run_of_sweep(job, folder, show)
        try:
            return _run(job, folder, resume=False)
        except Exception as error:
            raise SingleRunFailed from error


class JobFailed(Exception):
    """A job of a sweep failed. Holds the message alone: it travels between processes, and its traceback would keep
    the failed run's memory from the jobs after it."""


class WrongInput(JobFailed):
    """It failed because of its settings or its data, not while it trained."""


def _run_of_sweep(job: Job, folder: Path, show: bool) -> float | None:
    """The folder is the job's identity: whatever it holds is this job's own unfinished work."""
    try:
        return _run(job, folder, resume=True, show=show)
    except (ConfigError, DataError) as error:
        failure: JobFailed = WrongInput(str(error))
    except Exception as error:
        failure = JobFailed(f"{type(error).__name__}: {error}")
    gc.collect()
    where = "" if str(failure).startswith(f"{folder}:") else f"{folder}: "
    print(f"failed: {where}{failure}", flush=True)
    raise failure


class SingleRunFailed(BaseException):
    """A run outside a sweep failed, for the reason in `__cause__`.

    Not an Exception, because Hydra would catch it and print its overrides before passing it on.
    """


def continue_run(job: Job, folder: Path) -> float | None:
    """Go on with the run in `folder`; a finished one can still be given other tags and notes."""
    if read_status(folder).get("state") == "finished":
        if retag(folder, job.config):
            print(f"{folder}: has the new tags and notes", flush=True)
        if (name := stored_config("resume", str(folder))["name"]) != job.config.name:
            print(f"{folder}: is finished and keeps the name {name!r}", flush=True)
    return _run(job, folder, resume=True)


def repeat_run(job: Job, source: Path, folder: Path | None = None) -> float | None:
    """Start a new run of the configuration stored in `source`. Raises ConfigError if its class list was edited.

    folder: where it goes; None: to outputs/NAME/TIME.
    """
    refuse_edited_list(job, source)
    if folder is None:
        folder = _new_folder(job)
    else:
        refuse_foreign(folder)
    with _removed_if_unused(folder):
        return _run(job, folder, resume=False)


def start_run(planned: Plan, folder: Path | None) -> Path:
    """Run a plan's one job without Hydra; the folder it is in.

    A `folder` that holds a run of the same settings is continued, or left alone if that is finished. Raises
    ConfigError where it holds anything else, and what stops the run.
    """
    job = planned.jobs[0]
    if planned.resume is not None:
        continue_run(job, planned.resume)
        return planned.resume
    if planned.rerun is not None:
        refuse_edited_list(job, planned.rerun)
    given = folder is not None
    if folder is None:
        folder = _new_folder(job)
    else:
        refuse_foreign(folder)
        check_can_be_made(folder, "choose another folder")
    with _removed_if_unused(folder):
        _run(job, folder, resume=given)
    return folder


def _new_folder(job: Job) -> Path:
    """A place for a run that nobody named one for. Raises ConfigError where none can be made."""
    folder = Path("outputs") / job.config.name / f"{datetime.now():%Y-%m-%d_%H-%M-%S}-{secrets.token_hex(3)}"
    check_can_be_made(folder, "runs go to outputs/NAME in the present folder")
    return folder


def refuse_edited_list(job: Job, source: Path) -> None:
    """Raises ConfigError where the class list of the run in `source` was edited since, and is not named anew."""
    path = job.config.dataset.class_list
    named = any(text.startswith("dataset.class_list=") for text in job.overrides)
    if path is None or (named and job.config.branch.task is None):
        return
    noted = read_status(source).get("class_list")
    if noted is None and (source / "result.json").is_file():
        noted = hash_of_result(finished_result(source, judge=False))
    # 0.1.0 noted the bytes of the file.
    if noted not in (None, names_hash(path), sha256(Path(path).read_bytes()).hexdigest()):
        raise ConfigError(
            f"dataset.class_list: {path} names other classes than when {source} was started; write "
            f"dataset.class_list={path} beside rerun to take it as it is now, or the path of the list as it was"
        )


@contextmanager
def _removed_if_unused(folder: Path) -> Iterator[None]:
    """A folder that was new leaves no trace of a start that came to nothing: a signal, wrong data, a full disk.

    That is before a step. After any other error it stays: train.log holds the traceback.
    """
    new = is_empty(folder)
    try:
        yield
    except BaseException as error:
        reason = error.__cause__ if isinstance(error, SingleRunFailed) else error
        expected = (Interrupted, KeyboardInterrupt, ConfigError, DataError, WrongInput)
        full = isinstance(reason, OSError) and reason.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
        if new and (full or isinstance(reason, expected)) and remove_if_unused(folder):
            print(f"nothing was trained yet: {folder} is removed", flush=True)
        raise


def objective(result: dict[str, Any]) -> float | None:
    """What a sweeper that chooses values makes large: incremental_avg_top1 in per cent, of a result.json.

    On validation images where some are held out (dataset.holdout_per_class); otherwise on test images.
    """
    value: float | None = result.get("val", result).get("incremental_avg_top1")
    return value


def _what_is_trained(config: RunConfig) -> str:
    """In a few words: a group that was forgotten on the command line shows here."""
    loss = f", loss={config.loss.name}" if config.loss.name else ""
    return f"method={config.method.name}{loss} on {config.dataset.name}, seed={config.seed}"


def _run(job: Job, folder: Path, resume: bool, show: bool = True) -> float | None:
    status = read_status(folder)
    finished, configured = status.get("state") == "finished", (folder / "config.yaml").is_file()
    if finished and not configured:
        raise DataError(f"{folder}: config.yaml is missing, so nobody can say which run finished here")
    ended = finished_result(folder) if finished else None  # first: an edited config.yaml is its own reason
    if (resume or finished) and configured:
        # A sweep's folders may be named by hand: the job that ran here may be another one.
        refuse_differences(str(folder), stored_config("resume", str(folder)), job.effective)
    if ended is not None:
        refuse_other_classes(folder, job.effective)
        print(f"{folder}: already finished, nothing to do")
        return objective(ended)
    if not resume:
        refuse_unfinished(folder)
    with signals_wait():
        from cil.run.experiment import run_experiment  # torch takes seconds

    print(f"run folder: {folder}\n{_what_is_trained(job.config)}", flush=True)
    try:
        result = run_experiment(job, folder, resume)
    except Interrupted:
        if show and read_status(folder).get("state") == "finished":  # the signal came when there was nothing left to do
            print(f"\n{result_table(finished_result(folder))}\n\n{folder}: is finished", flush=True)
        raise
    except Exception as error:
        if (folder / "train.log").is_file():
            error.add_note(f"more in {folder / 'train.log'}")
        raise
    if show:
        print(f"\n{result_table(result)}\n")
    return objective(result)
