"""Times and memory: measured in turn, with the device's work done before the clock is read."""

import re
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

Record = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """One quantity, once for each round."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Over the rounds."""
        return statistics.median(self.rounds)

    def map(self, function: Callable[[float], float]) -> "Figure":
        """The same rounds in another unit."""
        return Figure(tuple(map(function, self.rounds)))

    def over(self, other: "Figure") -> "Figure":
        """Quotient of the two, round by round: what was measured in turn had the same noise."""
        return Figure(tuple(a / b for a, b in zip(self.rounds, other.rounds, strict=True)))

    def record(self) -> Record:
        """As it stands in bench.json."""
        return {
            "median": self.median,
            "min": min(self.rounds),
            "max": max(self.rounds),
            "rounds": list(self.rounds),
        }


@dataclass(frozen=True)
class Clock:
    """Times things on a device; `rounds` times each."""

    device: torch.device
    rounds: int

    def wait(self) -> None:
        """Until the device has done all it was told."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def in_turn(self, sides: Mapping[str, Callable[[], object]], warm: int = 1) -> dict[str, Figure]:
        """Seconds of each side. The sides take turns, and the first `warm` rounds do not count."""
        times: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(warm + self.rounds):
            for name, side in sides.items():
                self.wait()
                start = time.perf_counter()
                side()
                self.wait()
                if number >= warm:
                    times[name].append(time.perf_counter() - start)
        return {name: Figure(tuple(values)) for name, values in times.items()}

    def peak_bytes(self, work: Callable[[], object]) -> int:
        """Peak of memory while `work` runs: allocated on CUDA, otherwise resident memory of this process."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            work()
            self.wait()
            return torch.cuda.max_memory_allocated(self.device)
        _forget_peak()
        work()
        return _resident_peak()


def _forget_peak() -> None:
    """Let the kernel begin a new peak; where it does not, the peak is that of the process so far."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _resident_peak() -> int:
    try:
        found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    except OSError:
        found = None
    if found is not None:
        return 1024 * int(found[1])
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
