"""What a benchmark ran on."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from cil.records.result import git_commit, versions


def machine(device: torch.device) -> dict[str, Any]:
    """Plain values; `gpu` and `driver` are null on a CPU."""
    on_gpu = device.type == "cuda"
    return {
        "device": device.type,
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "platform": platform.platform(),
        "gpu": torch.cuda.get_device_name(device) if on_gpu else None,
        "gpu_bytes": torch.cuda.get_device_properties(device).total_memory if on_gpu else None,
        "driver": _driver() if on_gpu else None,
        "cuda": torch.version.cuda if on_gpu else None,
        "cudnn": torch.backends.cudnn.version() if on_gpu else None,
    }


def facts(device: torch.device) -> dict[str, Any]:
    """When, on what and by which code something is measured, as every file of figures has it."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(device),
        "versions": versions(),
        "git_commit": git_commit(),
    }


def device_name(facts: dict[str, Any]) -> str:
    """What to call the device in one word or two."""
    return str(facts["gpu"] or facts["cpu"])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _driver() -> str | None:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return found.strip().splitlines()[0] if found.strip() else None
