"""What torchrun tells each process that it starts. Imports no torch."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Launch:
    """Which of how many processes this one is: of all, and of those on this machine."""

    rank: int
    processes: int
    local_rank: int
    local_processes: int


def launched() -> Launch | None:
    """None where one process works alone, `torchrun --nproc_per_node=1` included."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes < 2 or "RANK" not in os.environ:
        return None
    local = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
    return Launch(int(os.environ["RANK"]), processes, int(os.environ.get("LOCAL_RANK", os.environ["RANK"])), local)
