"""Times and memory: measured in turn, with the device's work done before the clock is read."""

import re
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

Record = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """One quantity, once for each round."""

    rounds: tuple[float, ...]
    processor: tuple[float, ...] = ()
    """The same by the processor's time for this process instead of the clock on the wall; empty on CUDA.

    With one thread it is what a core of its own would take, however many others are at work.
    """

    @property
    def median(self) -> float:
        """Over the rounds."""
        return statistics.median(self.rounds)

    def map(self, function: Callable[[float], float]) -> "Figure":
        """The same rounds in another unit."""
        return Figure(tuple(map(function, self.rounds)), tuple(map(function, self.processor)))

    def over(self, other: "Figure") -> "Figure":
        """Quotient of the two, round by round: what was measured in turn had the same noise."""
        pairs = ((self.rounds, other.rounds), (self.processor, other.processor))
        return Figure(*(tuple(a / b for a, b in zip(mine, theirs, strict=True)) for mine, theirs in pairs))

    def record(self) -> Record:
        """As it stands in bench.json."""
        return _summary(self.rounds) | ({"by_processor": _summary(self.processor)} if self.processor else {})


def _summary(rounds: Sequence[float]) -> Record:
    return {"median": statistics.median(rounds), "min": min(rounds), "max": max(rounds), "rounds": list(rounds)}


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
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
        for number in range(warm + self.rounds):
            for name, side in sides.items():
                self.wait()
                start, computed = time.perf_counter(), time.process_time()
                side()
                self.wait()
                if number >= warm:
                    times[name].append((time.perf_counter() - start, time.process_time() - computed))
        on_gpu = self.device.type == "cuda"
        found = {name: tuple(zip(*values, strict=True)) for name, values in times.items()}
        return {name: Figure(wall, () if on_gpu else processor) for name, (wall, processor) in found.items()}

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
