"""What is set for a whole training process: how memory is returned, and how many threads compute."""

import ctypes
import os
import platform
from typing import Any

import torch

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


def thread_facts(device: torch.device) -> dict[str, Any]:
    """`threads` that compute on a CPU, whose number moves the last bits of results; None elsewhere."""
    return {"threads": torch.get_num_threads() if device.type == "cpu" else None}


def other_threads(then: Any, device: torch.device) -> str | None:
    """A warning for a run that goes on with another number of CPU threads than it has been run with.

    then: the number noted in its checkpoint; None where it is not known.
    """
    now = thread_facts(device)["threads"]
    if then is None or now is None or then == now:
        return None
    return (
        f"was run with {then} CPU thread{'s' if then != 1 else ''} so far and goes on with {now}: that moves the last "
        f"bits of sums on a CPU, so it will not equal an unbroken run; with OMP_NUM_THREADS={then} it would"
    )
