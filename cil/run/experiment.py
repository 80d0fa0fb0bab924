"""Runs one job: from a checked configuration to result.json."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shlex import quote
from typing import Any

from cil.config.parts import changed_parts, part_versions, version_of_all
from cil.config.schema import RunConfig
from cil.config.typed import to_yaml, typed
from cil.config.usage import with_neutral
from cil.data.training import TrainingData, memory_notes
from cil.engine.build import build_data, build_trainer, resolve_device
from cil.engine.divergence import Diverged, Place
from cil.engine.loop import Trainer
from cil.engine.memory_budget import make_memory
from cil.engine.precision import set_reproducibility
from cil.errors import ConfigError, DataError
from cil.files import write_atomically
from cil.planning.plan import Job
from cil.planning.stored import canonical, refuse_differences
from cil.records.checkpoint import CheckpointFolder
from cil.records.confusion import write_confusions
from cil.records.folder import RunFolder, finished_result, holds_work, read_status, refuse_unfinished
from cil.records.hparams import told_by_sweep
from cil.records.lock import locked
from cil.records.output import lasting_output
from cil.records.recorder import Recorder
from cil.records.result import build_result
from cil.records.tags import tags_and_notes
from cil.run.branch import fit_memory, load_branch_state, state_to_branch_from
from cil.run.commands import command
from cil.run.forecast import forecast_once
from cil.run.live import RunObserver, Saver
from cil.run.mirror import Mirror, mirrored
from cil.run.out_of_memory import OutOfMemory
from cil.run.process import (
    keep_freed_memory,
    other_processes,
    other_threads,
    other_versions,
    process_counts,
    start_clean,
    thread_counts,
    torch_versions,
)
from cil.run.progress import Display
from cil.run.signals import Interrupted, StopSignals
from cil.run.together import OthersLost, train_together

logger = logging.getLogger("cil")


class _LogFile(logging.FileHandler):
    """A log that may lose lines: on a full disk the standard one fills stderr with tracebacks."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass

    def close(self) -> None:
        with suppress(OSError):
            super().close()


@contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Write the log of this run to `path`, and of no other run of the process."""
    handler = _LogFile(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    before = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]
        handler.close()


def run_experiment(job: Job, path: Path, resume: bool) -> dict[str, Any]:
    """Train, evaluate and write the run's folder `path`; returns the content of result.json.

    With `resume` it goes on from the folder's newest whole checkpoint. Raises what stopped the run, after noting
    it in status.json: Interrupted after a signal, DataError for broken data, Diverged; ConfigError, without
    touching the folder, if another process works on it or it holds unfinished work and `resume` is false.
    """
    folder = RunFolder(path)
    path.mkdir(parents=True, exist_ok=True)
    with lasting_output(), StopSignals() as stop, locked(path):
        # Under the lock: another process may have finished the run while this one was starting.
        if read_status(path).get("state") == "finished" or (resume and _finished_status_restored(folder)):
            print(f"{path}: already finished, nothing to do")
            return finished_result(path)
        if not resume:
            refuse_unfinished(path)
        begun = holds_work(path)
        write_atomically(folder.config, to_yaml(job.effective))
        folder.begin(tags=job.config.tags, notes=job.config.notes)
        with log_file(folder.log), mirrored(job, folder, _say) as mirror:
            result = _noting_the_end(job, folder, stop, begun, mirror)
        stop.check()
        return result


def _noting_the_end(
    job: Job, folder: RunFolder, stop: StopSignals, begun: bool, mirror: Mirror | None
) -> dict[str, Any]:
    try:
        result = _train(job, folder, stop, begun, mirror)
        folder.finish(result)
    except Interrupted as error:
        stop.ending = True
        logger.warning("%s", error)
        folder.end("interrupted", reason=str(error))
        if begun or folder.where is not None:  # otherwise there is nothing to go on from
            print(f"stopped; to continue: {command('train')} {quote(f'resume={folder.path}')}", flush=True)
        raise
    except Diverged as error:
        logger.error("%s", error)
        folder.end("failed", error=str(error), where=vars(error.place), values=error.values)
        raise
    except OutOfMemory as error:
        logger.error("%s", error)
        folder.end("failed", error=str(error), where=error.where, **_further(error.split_into))
        raise
    except OthersLost as error:
        logger.error("%s", error)
        folder.end("failed", error=str(error), where=folder.where, **_further(error.split_into))
        raise
    except BaseException as error:
        logger.error("%s", error, exc_info=not isinstance(error, DataError))
        folder.end("failed", error=f"{type(error).__name__}: {error}", where=folder.where)
        raise
    if not job.config.checkpoint.keep_all:
        # Last of all: a run killed before this line still has a state to continue from.
        CheckpointFolder(folder.checkpoints).remove_resumable()
    return result


def _further(split_into: int | None) -> dict[str, int]:
    return {} if split_into is None else {"split_into": split_into}


def _say(text: str) -> None:
    logger.warning(text)
    print(f"warning: {text}", flush=True)


def _finished_status_restored(folder: RunFolder) -> bool:
    """A run that has all a finished one has, and nothing to continue from, is one whose status.json was lost."""
    models = list(folder.checkpoints.glob("final-*.pt"))
    if not models or list(folder.checkpoints.glob("t0*.pt")) or not folder.result.is_file():
        return False
    # Not into the log: nothing of a finished run but its status is written again.
    print(
        f"warning: {folder.status}: was lost or damaged; result.json and the final model show that the run is finished"
    )
    folder.mark_finished(finished_result(folder.path))
    return True


def _stored_state(folder: RunFolder, checkpoints: CheckpointFolder, inherited: int) -> dict[str, Any] | None:
    """The newest whole checkpoint; None if the run had not come to its first one. Raises DataError."""
    noted = read_status(folder.path).get("checkpoint")
    state, problems = checkpoints.newest()
    if noted is not None and not (folder.checkpoints / noted).exists():
        problems.insert(0, f"{folder.checkpoints / noted}: is missing")
    for problem in problems:
        _say(f"damaged checkpoint passed over: {problem}")
    if state is not None:
        return state
    if problems or folder.is_past_its_first_task(inherited):
        raise DataError(f"{folder.checkpoints}: no whole checkpoint is left; the run cannot be continued")
    _say("the run was stopped before its first checkpoint; it starts from the beginning")
    return None


def _check_stored(stored: dict[str, Any], folder: RunFolder, job: Job) -> None:
    """Raises ConfigError for a checkpoint of other settings (config.yaml may have been edited) or other code."""
    then = canonical(typed(with_neutral(stored["config"])))
    refuse_differences(str(folder.path), then, job.effective)
    changed = changed_parts(stored, job.effective)
    if changed:
        raise ConfigError(
            f"resume: {folder.path} was started by code that gives other numbers, since these have changed: "
            f"{', '.join(changed)}; see CHANGELOG.md, and continue it with that code, or start a new run with "
            f"rerun={folder.path}"
        )


def _data(config: RunConfig, folder: RunFolder, stored: dict[str, Any] | None) -> TrainingData:
    """The images. Raises DataError where they are not those that the stored run was started with."""
    data = build_data(config, folder.path)
    if data.raw.class_list is not None:
        folder.note(class_list=data.raw.class_list[1])
    if stored is None:
        for note in memory_notes(config, data, make_memory(config, data)):
            _say(note)
    elif stored["data"] != data.fingerprint:
        raise DataError(
            f"{folder.path}: the images are not those the run was started with (a file was added, removed or renamed, "
            f"or dataset.root={config.dataset.root} is another data set); its exemplars would be other images"
        )
    return data


def _take_up(trainer: Trainer, stored: dict[str, Any], branches: bool, saver: Saver) -> None:
    """Go on from a stored state: this run's own, or that of the run it branches off."""
    if branches:
        load_branch_state(trainer, stored)
        saver.save(trainer.state_dict())  # from here on the run it came from is not needed
    else:
        trainer.load_state_dict(stored["trainer"])


def _split_as_noted(trainer: Trainer, folder: RunFolder) -> bool:
    """Split batches further where one of several processes ran out of memory in the last part of the run."""
    parts = folder.noted("split_into")
    if parts is None or parts <= trainer.stepper.micro_batches:
        return False
    trainer.stepper.split_into(parts, Place(trainer.finished_tasks + 1, trainer.epoch + 1, trainer.step))
    return True


def _train(job: Job, folder: RunFolder, stop: StopSignals, begun: bool, mirror: Mirror | None) -> dict[str, Any]:
    config = job.config
    checkpoints = CheckpointFolder(folder.checkpoints)
    stored = _stored_state(folder, checkpoints, config.branch.task or 0) if begun else None
    branches = stored is None and config.branch.task is not None
    if stored is not None:
        _check_stored(stored, folder, job)
    elif branches:
        stored = state_to_branch_from(job)
    started = time.monotonic() - (stored["seconds"] if stored else 0.0)
    set_reproducibility(config.trainer)
    keep_freed_memory()
    device = resolve_device(config.device)
    start_clean(device)
    data = _data(config, folder, stored)
    if stored is not None and branches:
        fit_memory(stored, config, data)
    threads = thread_counts(stored.get("thread_counts", []) if stored else [], device)
    counts = process_counts(stored)
    torches = torch_versions(stored)
    for warning in (other_threads(threads), other_processes(counts), other_versions(torches)):
        if warning:
            _say(f"{folder.path}: {warning}")
    stop.check()
    forecast = forecast_once(config, folder, data.stream.tasks[: config.trainer.max_tasks], device)
    tensorboard = folder.tensorboard if config.tracking.tensorboard else None
    follow = None if mirror is None else mirror.follow
    recorder = Recorder(
        folder.metrics, tensorboard, stored["records"] if stored else None, tags_and_notes(config), follow
    )
    parts = part_versions(job.effective)
    versions = {"results_version": version_of_all(parts), "part_versions": parts}
    shares = stored.get("inherited", []) if stored else []
    facts = {"config": job.effective, **versions, "data": data.fingerprint, "thread_counts": threads}
    facts |= {"torch_versions": torches}
    facts |= ({"inherited": shares} if shares else {}) | ({"process_counts": counts} if counts != [1] else {})
    saver = Saver(config.checkpoint, folder, checkpoints, recorder, facts, lambda: time.monotonic() - started)
    display = Display(len(data.stream.tasks[: config.trainer.max_tasks]), config.tracking.progress)
    observer = RunObserver(folder, recorder, display, saver, stop)
    try:
        trainer = build_trainer(config, data, observer)
        if stored is not None:
            _take_up(trainer, stored, branches, saver)
            display.continue_at(trainer.share_done)
            text = f"continues after {100 * trainer.share_done:.1f}% of the training"
            if branches:
                text = f"branches off {config.branch.run} after task {config.branch.task}"
            logger.info(text)
            display.line(text)
        split = _split_as_noted(trainer, folder)
        train_together(trainer, config, taken_up=stored is not None or split)
        seconds = time.monotonic() - started
        result = build_result(config, job.run_id, trainer, seconds, threads, counts, shares) | {"forecast": forecast}
        result |= {"torch_versions": torches} if len(torches) > 1 else {}
        recorder.summarise(job.effective, alone=not told_by_sweep(folder.path))
        tables = trainer.task_end.confusions
        write_confusions(folder.path, {t: {h: c.numpy() for h, c in heads.items()} for t, heads in tables.items()})
        saver.finish(trainer.state_dict())
    finally:
        display.close()
        recorder.close()
        data.loader.close()
    return result
