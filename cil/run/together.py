"""One run in several processes: the first one leads, writes and speaks; the others compute along, and write nothing.

The two sides, step by step (docs/distributed.md):

    leader (`train_together`)           the others (`follow`)
    tells the settings                  wait for a call
    all report their data and device, and go on, or none does
    tells where the run is              take it over
    Trainer.run                         Trainer.run
    result.json, perhaps another job    wait for the next call
    `dismiss_others`                    end
"""

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from cil.config.schema import OnOom, RunConfig
from cil.config.typed import plain, typed
from cil.distributed import ranks
from cil.distributed.launch import Launch, launched
from cil.engine.build import build_data, build_trainer, resolve_device
from cil.engine.divergence import Diverged
from cil.engine.loop import Trainer
from cil.engine.observer import Progress, Record, Silent, State
from cil.engine.precision import set_reproducibility
from cil.errors import ConfigError, DataError
from cil.run.live import agreed
from cil.run.out_of_memory import OutOfMemory, run_explained
from cil.run.process import keep_freed_memory, start_clean
from cil.run.signals import Interrupted, StopSignals

logger = logging.getLogger("cil")
_PATIENCE = timedelta(hours=1)
"""How long a process waits for the others: as long as a checkpoint on a slow disk may take, and more."""
_GOODBYE = 60.0
"""Seconds that the leader waits at most for the others to have heard of the end."""
_FAILURE, _HEARD = "cil/failure", "cil/heard"
_store: Any = None
_calls = 0
"""How many calls have been said, or heard."""
_in_a_run = False
"""Whether the others are in the middle of a run that this process has left."""


@dataclass(frozen=True)
class Call:
    """What the leader tells the others of a run."""

    config: RunConfig
    fingerprint: str


class OthersLost(Exception):
    """Another process of the run has ended, or cannot be reached. One line.

    split_into: as of OutOfMemory, where that was the reason.
    """

    def __init__(self, message: str, split_into: int | None = None) -> None:
        super().__init__(message)
        self.split_into = split_into


def join(launch: Launch) -> None:
    """Meet the other processes. Raises OthersLost."""
    global _store
    if dist.is_initialized():
        return
    if torch.cuda.is_available() and launch.local_rank < torch.cuda.device_count():
        torch.cuda.set_device(launch.local_rank)
    both = torch.cuda.is_available() and dist.is_nccl_available()
    try:
        found, rank, count = next(iter(dist.rendezvous("env://", timeout=_PATIENCE)))
        # torchrun's store outlives a restart (--max-restarts): the addresses of dead processes must not be read.
        _store = dist.PrefixStore(f"life {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", found)
        # One group for tensors of either kind: what is agreed on the CPU waits for no device.
        backend = "cpu:gloo,cuda:nccl" if both else "gloo"
        dist.init_process_group(backend, store=_store, rank=rank, world_size=count, timeout=_PATIENCE)
    except (RuntimeError, OSError) as error:
        raise OthersLost(f"the processes of torchrun do not find each other: {_first_line(error)}") from None


def train_together(trainer: Trainer, config: RunConfig, taken_up: bool) -> None:
    """`run_explained` in all processes, from where the leader is; `taken_up`: that is not the start of the run.

    Raises what that does; DataError if another process has other images, or no GPU; OthersLost if one cannot be
    reached, or ends.
    """
    global _in_a_run
    launch = launched()
    if launch is None:
        run_explained(trainer, config)
        return
    if _in_a_run:
        raise OthersLost("the other processes are still in the run that failed before; start this command again")
    join(launch)
    _say_next(Call(config, trainer.data.fingerprint))
    further = 2 * trainer.stepper.micro_batches if config.trainer.on_oom is OnOom.accumulate else None
    with ranks.together(), explained(further):
        _agree(None)
        _in_a_run = True
        if ranks.from_first(taken_up):
            ranks.state_from_first(trainer.state_dict())
        try:
            run_explained(trainer, config)
        except OutOfMemory as error:
            error.split_into = None if trainer.evaluating else further
            raise
        except Diverged:
            _in_a_run = False  # all processes have seen the same numbers
            raise
        except Interrupted as error:
            _in_a_run = error.at_once
            raise
    _in_a_run = False


def dismiss_others() -> None:
    """Let the others end, once there is no more work for them."""
    launch = launched()
    if launch is not None and launch.rank == 0:
        with suppress(OthersLost, RuntimeError):
            join(launch)
            _say_next(None)
            if _in_a_run:
                return
            # Where no torchrun holds it, the store ends with this process.
            until = time.monotonic() + _GOODBYE
            while _store.add(_HEARD, 0) < launch.processes - 1 and time.monotonic() < until:
                time.sleep(0.05)
            dist.destroy_process_group()


# Calls go through torchrun's store, not through a message of the group: the others may be in the middle of a step.
def _say_next(call: Call | None) -> None:
    global _calls
    said = None if call is None else {"config": plain(call.config), "fingerprint": call.fingerprint}
    _store.set(f"cil/call/{_calls}", json.dumps(said))
    _calls += 1


def _hear_next() -> Call | None:
    global _calls
    _store.wait([f"cil/call/{_calls}"], timedelta(days=30))
    said = json.loads(_store.get(f"cil/call/{_calls}"))
    _calls += 1
    if said is None:
        _store.add(_HEARD, 1)
    return None if said is None else Call(typed(said["config"]), said["fingerprint"])


def _agree(problem: str | None) -> None:
    """Go on if no process has a problem. Raises DataError with that of the first who has one."""
    for rank, found in enumerate(ranks.everyone(problem)):
        if found is not None:
            raise DataError(f"process {rank}: {found}")


@contextmanager
def explained(split_into: int | None = None) -> Iterator[None]:
    """While active, OthersLost stands for what a lost process leads to in the others.

    split_into: what helps if the lost one ran out of memory.
    """
    try:
        yield
    except (RuntimeError, OSError) as error:
        if launched() is None or isinstance(error, torch.OutOfMemoryError) or not _is_of_connection(error):
            raise
        why, memory = _told_failure()
        raise OthersLost(
            f"another process of this run has ended{': ' + why if why else ' (what it said is above)'}; "
            "resume=RUN continues from the last checkpoint",
            split_into if memory else None,
        ) from None


def _is_of_connection(error: Exception) -> bool:
    if isinstance(error, OSError):  # a full disk is none
        return isinstance(error, ConnectionError)
    text = str(error).lower()
    return isinstance(error, dist.DistError) or any(sign in text for sign in ("connection", "gloo", "nccl", "socket"))


def _tell_failure(message: str, memory: bool) -> None:
    """Leave word for the leader of why this process ends; `memory`: of a device, in training."""
    if _store is not None:
        with suppress(Exception):
            _store.set(_FAILURE, json.dumps([message, memory]))


def _told_failure() -> tuple[str | None, bool]:
    with suppress(Exception):
        if _store is not None and _store.check([_FAILURE]):
            message, memory = json.loads(_store.get(_FAILURE))
            return message, memory
    return None, False


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


class Along(Silent):
    """The observer of a process that follows: stops where the leader does."""

    def __init__(self, stop: StopSignals) -> None:
        self.stop = stop

    def on_step(self, progress: Progress, state: Callable[[], State]) -> None:
        """See RunObserver.on_step: what that saves is not needed here, but asking for it may raise Diverged."""
        del progress
        self.check(state)

    def on_task(self, record: Record, state: Callable[[], State]) -> None:
        """See RunObserver.on_task."""
        del record
        state()

    def check(self, state: Callable[[], State]) -> None:
        """See RunObserver.check."""
        received, due = agreed(self.stop)
        if received or due:
            state()
        if received:
            raise Interrupted(received)


def follow() -> int:
    """The work of every process but the first; the exit code. Prints nothing but why it ends before its time."""
    launch = launched()
    assert launch is not None
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    try:
        with StopSignals(quiet=True) as stop, explained():
            join(launch)
            while (call := _hear_next()) is not None:
                with suppress(Interrupted, Diverged):
                    _compute_along(call, stop)
            dist.destroy_process_group()
    except OthersLost:
        return 1  # the first that ended, or torchrun, has said why
    except Interrupted as error:
        return 128 + error.signum
    except Exception as error:
        message = f"process {launch.rank}: {type(error).__name__}: {_first_line(error)}"
        _tell_failure(message, isinstance(error, OutOfMemory) and error.split_into is not None)
        print(message, file=sys.stderr, flush=True)
        # At once: others wait for this process in the middle of a step.
        os._exit(1)
    return 0


def _compute_along(call: Call, stop: StopSignals) -> None:
    config, problem, data = call.config, None, None
    set_reproducibility(config.trainer)
    keep_freed_memory()
    with ranks.together():
        try:
            device = resolve_device(config.device)
            start_clean(device)
            data = build_data(config)
            if data.fingerprint != call.fingerprint:
                problem = f"dataset.root={config.dataset.root} has other images here than in the first process"
        except (ConfigError, DataError) as error:
            problem = str(error)
        try:
            _agree(problem)
        except DataError:
            return  # the first process says it
        assert data is not None
        try:
            trainer = build_trainer(config, data, Along(stop))
            if ranks.from_first(None):
                trainer.load_state_dict(ranks.state_from_first(None))
            run_explained(trainer, config)
        except OutOfMemory as error:
            error.split_into = None if trainer.evaluating else 2 * trainer.stepper.micro_batches
            raise
        finally:
            data.loader.close()
