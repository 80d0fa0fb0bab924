"""What is set for a whole training process: how memory is returned, and how many threads compute."""

import ctypes
import gc
import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from cil.distributed.launch import launched

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_KEPT = 1 << 30
"""Bytes that stay with the process instead of going back to the kernel at every free."""


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory for the next step, instead of returning it to the kernel and faulting it in again.

    On the CPU every activation is a block of its own, which glibc by default maps and unmaps: up to a third of a
    training step is then spent in the kernel. Results do not change, only when pages are returned. Does nothing, and
    returns False, elsewhere than on Linux with glibc, and where the user has set MALLOC_* or GLIBC_TUNABLES.
    """
    own = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if own or platform.libc_ver()[0] != "glibc":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    # Not M_MMAP_THRESHOLD: older versions take no more than 32 MiB, less than one activation of a full batch.
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _KEPT), (_M_TOP_PAD, 1 << 26))
    done = [mallopt(name, value) == 1 for name, value in settings]
    return all(done)


def start_clean(device: torch.device) -> None:
    """Nothing of an earlier job of the process may fill this one's memory or show in its peak."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.set_device(device.index or 0)  # events and pinned memory belong to the current device
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def thread_counts(before: Sequence[int], device: torch.device) -> list[int]:
    """Numbers of CPU threads that a run has been computed with, which move the last bits of results; none elsewhere.

    before: those of earlier parts of the run, in order.
    """
    now = [torch.get_num_threads()] if device.type == "cpu" else []
    return list(dict.fromkeys([*before, *now]))


def other_threads(counts: Sequence[int]) -> str | None:
    """A warning for a run that has been computed with several numbers of CPU threads (`thread_counts`)."""
    if len(counts) < 2:
        return None
    return (
        f"is computed with several numbers of CPU threads ({', '.join(map(str, counts))}), which moves the last bits "
        f"of sums: it will not equal an unbroken run (OMP_NUM_THREADS={counts[0]} would have gone on as it began)"
    )


def torch_versions(stored: Mapping[str, Any] | None) -> list[str]:
    """Versions of PyTorch that a run has been computed with, in order; `stored`: the state it continues from."""
    return list(dict.fromkeys([*(stored or {}).get("torch_versions", []), str(torch.__version__)]))


def other_versions(versions: Sequence[str]) -> str | None:
    """A warning for a run that has been computed with several versions of PyTorch (`torch_versions`)."""
    if len(versions) < 2:
        return None
    return f"is computed with several versions of PyTorch ({', '.join(versions)}): it may not equal an unbroken run"


def process_counts(stored: Mapping[str, Any] | None) -> list[int]:
    """Numbers of processes that a run has been trained by, in order; `stored`: the state it continues from, or
    branches off from.
    """
    launch = launched()
    now = 1 if launch is None else launch.processes
    before = [] if stored is None else stored.get("process_counts", [1])
    return list(dict.fromkeys([*before, now]))


def other_processes(counts: Sequence[int]) -> str | None:
    """A warning for a run that has been trained by several numbers of processes (`process_counts`)."""
    if len(counts) < 2:
        return None
    return (
        f"is trained by several numbers of processes ({', '.join(map(str, counts))}), which moves the last bits of "
        "sums: it will not equal an unbroken run"
    )
