"""The whole benchmark: every part in every task, written down as it goes."""

import gc
import json
from collections.abc import Callable
from typing import Any

import torch

from cil.bench.clock import Clock, Record
from cil.bench.hours import hours
from cil.bench.images import made_up
from cil.bench.machine import device_name, facts
from cil.bench.options import Options
from cil.bench.parts import EVERY_TASK, ONCE, Bench
from cil.bench.subject import Subject
from cil.engine.build import build_data, resolve_device
from cil.engine.divergence import Diverged
from cil.engine.precision import set_reproducibility
from cil.errors import ConfigError
from cil.files import write_atomically
from cil.planning.plan import Job
from cil.run.process import keep_freed_memory

SCHEMA_VERSION = 1
STEPS = {"cuda": 10}
ROUNDS = {"cuda": 5}


def measure(job: Job, images_made_up: bool, options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """What bench.json holds; the file is written again after every part. Raises ConfigError, DataError, OSError."""
    set_reproducibility(job.config.trainer)
    keep_freed_memory()
    device = resolve_device(job.config.device)
    if device.type == "cuda":
        torch.cuda.set_device(device.index or 0)
    config, data = made_up(job.config, device) if images_made_up else (job.config, build_data(job.config))
    found = facts(device)
    clock = Clock(device, options.rounds or ROUNDS.get(device.type, 3))
    subject = Subject(config, data)
    bench = Bench(
        subject,
        clock,
        options.steps or STEPS.get(device.type, 2),
        options.out.absolute().parent,
        device_name(found["machine"]),
    )
    tasks = [number for number in options.tasks if number <= len(subject.trainer.tasks)]
    if not tasks:
        wanted = ", ".join(map(str, options.tasks))
        raise ConfigError(f"--tasks: the run has none of {wanted}; valid: 1 to {len(subject.trainer.tasks)}")
    record: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        **found,
        "config_id": job.run_id,
        "words": options.words,
        "settings": job.effective,
        "images": "made up" if images_made_up else "real",
        "steps_a_round": bench.steps,
        "memory_is": "allocated on the GPU" if device.type == "cuda" else "resident memory of the process",
        "figures": {},
        "hours": None,
        "hours_on_a_core": None,
    }
    try:
        for number in tasks:
            _measure_task(bench, number, first=number == tasks[0], options=options, record=record, say=say)
    finally:
        data.loader.close()
    return record


def _measure_task(
    bench: Bench, number: int, first: bool, options: Options, record: dict[str, Any], say: Callable[[str], None]
) -> None:
    bench.subject.grow(number)
    parts = EVERY_TASK | (ONCE if first else {})
    for name in [name for name in options.only if name in parts]:
        say(f"task {number}: {name}")
        found = _part(lambda part=name: parts[part](bench))  # type: ignore[misc]
        record["figures"].setdefault(name, []).append({"task": number} | found)
        record["hours"] = hours(bench.subject, record["figures"])
        if bench.subject.device.type == "cpu" and record["machine"]["threads"] == 1:
            record["hours_on_a_core"] = hours(bench.subject, record["figures"], by_processor=True)
        write_atomically(options.out, json.dumps(record, indent=1) + "\n")


def _part(part: Callable[[], Record | str]) -> Record:
    """What the part found; `skipped` says why it found nothing: memory, or numbers too large for the precision."""
    try:
        found = part()
        return {"skipped": found} if isinstance(found, str) else found
    except Diverged as error:
        return {"skipped": str(error)}
    except RuntimeError as error:  # torch.OutOfMemoryError is one, and on a CPU there is nothing more special
        if not isinstance(error, torch.OutOfMemoryError) and "DefaultCPUAllocator" not in str(error):
            raise
    # Outside the except block, where the traceback would keep the failed part's tensors alive.
    gc.collect()
    torch.cuda.empty_cache()
    return {"skipped": "out of memory"}
