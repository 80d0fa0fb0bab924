"""How long jobs will take, from finished runs of the same kind on the same device. Imports no torch."""

import json
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cil.config.usage import with_neutral
from cil.distributed.launch import launched
from cil.files import read_yaml
from cil.planning.plan import Job

KIND_KEYS = (
    "dataset.name",
    "dataset.image_size",
    "dataset.max_train_per_class",
    "dataset.pack_side",
    "dataset.resident_gb",
    "augment.crop_resampling",
    "augment.view_bank",
    "split",
    "backbone",
    "method.name",
    "loss.chunk_rows",
    "memory",
    "prune.ratio",
    "trainer.init_epochs",
    "trainer.inc_epochs",
    "trainer.batch_size",
    "trainer.micro_batches",
    "trainer.max_tasks",
    "trainer.precision",
    "trainer.compile",
    "trainer.frozen",
    "trainer.cuda_graph_frozen",
    "trainer.channels_last",
    "trainer.tf32",
    "trainer.deterministic",
    "trainer.eval_every",
)
"""Keys that decide how long a run takes; runs that agree in them are of one kind."""


@dataclass(frozen=True)
class Estimate:
    """Hours of all jobs of a plan that are not done."""

    hours: float
    """Sum over the jobs of which a finished run of the same kind is there."""
    device: str
    runs: int
    """Finished runs it rests on."""
    unknown: int
    """Jobs of which there is none."""


def kind_of(config: Mapping[str, Any], device: str, processes: Sequence[int] | None = None) -> str:
    """Runs of one kind, on one device, have the same text. Raises KeyError for a configuration without the keys.

    processes: numbers of processes that trained the run; None: as many as work now.
    """
    if processes is None:
        launch = launched()
        processes = [1 if launch is None else launch.processes]
    # A branch trains its last tasks alone; runs that are older than branches have no such key.
    values = [device, str((config.get("branch") or {}).get("task")), str(list(processes))]
    for key in KIND_KEYS:
        value: Any = config
        for part in key.split("."):
            value = value[part]
        values.append(json.dumps(value, sort_keys=True))
    return "\n".join(values)


def hours_by_kind(roots: Iterable[Path]) -> dict[str, list[float]]:
    """Kind -> hours of each finished run under the roots (outputs/NAME/RUN and outputs/sweeps/NAME/RUN)."""
    files = {path.resolve() for root in roots for pattern in ("*", "*/*", "*/*/*") for path in _results(root, pattern)}
    found: dict[str, list[float]] = {}
    for path in sorted(files):
        try:
            result = json.loads(path.read_text())
            config = read_yaml(path.parent / "config.yaml")
            device = result["device"]
            config = with_neutral(config)  # of an earlier version, maybe
            kind = kind_of(config, device["name"], device.get("process_counts", [1]))
            found.setdefault(kind, []).append(hours_of(result))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # not a whole run: no ground for an estimate
    return found


def hours_of(result: Mapping[str, Any]) -> float:
    """Hours that a finished run took, from its result.json. Raises KeyError, TypeError for another content."""
    tasks = sum(task["train_seconds"] for task in result["tasks"] if "inherited" not in task)
    # `seconds` counts from the last start alone where a run was continued.
    return float(max(result["seconds"], tasks)) / 3600


def _results(root: Path, pattern: str) -> Iterable[Path]:
    return root.glob(f"{pattern}/result.json")


def estimate(jobs: Iterable[tuple[Job, float]], roots: Iterable[Path]) -> Estimate:
    """The hours left of jobs, each given with the share of it that is left to do."""
    known = hours_by_kind(roots)
    hours, unknown, used, names = 0.0, 0, {}, {}
    for job, left in jobs:
        if job.config.device not in names:
            names[job.config.device] = device_name(job.config.device)  # may start a process
        kind = kind_of(job.effective, names[job.config.device])
        if kind in known:
            used[kind] = len(known[kind])
            hours += left * sum(known[kind]) / len(known[kind])
        else:
            unknown += 1
    return Estimate(hours, ", ".join(dict.fromkeys(names.values())), sum(used.values()), unknown)


def device_name(device: str) -> str:
    """Name that result.json gives to `device` (auto, cpu, cuda, cuda:N), found without torch."""
    gpus = [] if device == "cpu" else _gpu_names()
    if not gpus:
        return cpu_name() if not device.startswith("cuda") else device
    index = int(device.partition(":")[2] or 0)
    return gpus[index] if index < len(gpus) else device


def cpu_name() -> str:
    """Name of the processor in result.json."""
    return platform.processor() or platform.machine()


def _gpu_names() -> list[str]:
    folders = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    try:
        texts = [path.read_text() for path in folders]
        names = [line.partition(":")[2].strip() for text in texts for line in text.splitlines() if "Model:" in line]
        if names:
            return names
        command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        listed = subprocess.run(command, capture_output=True, text=True, timeout=2, check=True).stdout
        return [line.strip() for line in listed.splitlines() if line.strip()]
    except (OSError, subprocess.SubprocessError):
        return []
