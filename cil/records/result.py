"""result.json: everything a report needs to know about a finished run."""

import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from cil import __version__
from cil.config.identity import settings_of_result
from cil.config.parts import part_versions, version_of_all
from cil.config.schema import RunConfig
from cil.config.typed import plain
from cil.engine.loop import Trainer
from cil.engine.metrics import AccuracyHistory

RESULT_SCHEMA_VERSION = 1


def git_commit() -> str | None:
    """Commit of the code that runs, with `+changes` if the tree differs from it; None outside a checkout."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty=+changes", "--abbrev=40", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()


def versions() -> dict[str, str]:
    """Versions of what decides numbers."""
    packages = ("torch", "torchvision", "numpy", "hydra-core", "omegaconf")
    return {"cil": __version__, "python": platform.python_version()} | {name: version(name) for name in packages}


def device_facts(device: torch.device, threads: list[int], processes: list[int]) -> dict[str, Any]:
    """What the run ran on, with the numbers of CPU `threads`, and the peak of its memory where it is known.

    processes: numbers of processes that have trained it, told where they are not one.
    """
    several = {} if processes == [1] else {"process_counts": processes}
    return _device(device, threads) | several


def _device(device: torch.device, threads: list[int]) -> dict[str, Any]:
    if device.type != "cuda":
        name = platform.processor() or platform.machine()
        return {"type": device.type, "name": name, "thread_counts": threads, "peak_bytes": None}
    return {
        "type": "cuda",
        "name": torch.cuda.get_device_name(device),
        "peak_bytes": torch.cuda.max_memory_allocated(device),
    }


def _accuracies(history: AccuracyHistory) -> dict[str, Any]:
    return {"matrices": history.matrices, "curves": history.curves} | history.figures()


def _inherited_tasks(shares: Sequence[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Task -> what result.json says otherwise of it, of tasks that another run trained."""
    return {
        task: {"epochs": epochs, "inherited": share["run_id"]}
        for share in shares
        for task, epochs in zip(share["tasks"], share["epochs"], strict=True)
    }


def build_result(
    config: RunConfig,
    config_id: str,
    trainer: Trainer,
    seconds: float,
    threads: list[int],
    processes: list[int],
    shares: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """The content of result.json.

    threads, processes: numbers of CPU threads, and of processes, that the run was computed with.
    shares: what a branch has from other runs, the oldest first (see cil/run/branch.py). `seconds` are its own alone.
    """
    inherited = _inherited_tasks(shares)
    raw, stream = trainer.data.raw, trainer.data.stream
    facts = ("train_images", "exemplars", "test_images", "train_seconds", "loss_weights")
    # A task that 0.1.0 finished has none of the first three; the others come with prune.ratio.
    costs = ("parameters", "model_bytes", "exemplar_bytes", "unpruned_parameters", "unpruned_bytes")
    tasks = [
        {
            "task": task.number,
            "size": task.size,
            "classes": list(task.classes),
            "names": list(task.names),
            "epochs": len(trainer.workload.steps[task.number]),
        }
        | inherited.get(task.number, {})
        | {name: record[name] for name in facts}
        | {name: record[name] for name in (*costs, "new_classes_at_chance") if name in record}
        for task, record in zip(trainer.tasks, trainer.task_end.task_records, strict=True)
    ]
    network = trainer.method.network
    parts = part_versions(plain(config))
    result: dict[str, Any] = {
        "schema_version": RESULT_SCHEMA_VERSION,
        "results_version": version_of_all(parts),
        "part_versions": parts,
        "config_id": config_id,
        "settings": settings_of_result(plain(config)),
        "name": config.name,
        "tags": config.tags,
        "notes": config.notes,
    }
    result |= _accuracies(trainer.task_end.history)
    if raw.val is not None:
        result["val"] = _accuracies(trainer.task_end.val_history)
    if shares:
        result["branch"] = plain(config)["branch"] | {"inherited": list(shares)}
    return result | {
        "tasks": tasks,
        "dataset": raw.name,
        "class_order": [c for task in stream.tasks for c in task.classes],
        "class_list": None if raw.class_list is None else dict(zip(("file", "sha256"), raw.class_list, strict=True)),
        "seeds": {"seed": config.seed, "class_order_seed": config.class_order_seed},
        "parameters": sum(p.numel() for p in network.parameters()),
        "memory_events": trainer.stepper.memory_events,
        "seconds": seconds,
        "versions": versions(),
        "git_commit": git_commit(),
        "device": device_facts(trainer.device, threads, processes),
    }
