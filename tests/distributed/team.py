"""Runs in several processes, as torchrun starts them, without torchrun's own start-up time."""

import socket
from pathlib import Path
from typing import Any

from tests.commands import changed
from tests.faults.runs import SETTINGS, Ended, Running


def environment(rank: int, count: int, port: int) -> dict[str, str]:
    """What torchrun sets."""
    return {
        "RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_RANK": str(rank),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Team:
    """`count` processes of `python -m cil.train ARGUMENTS`; `plans`: faults by rank (tests/faults/inject.py)."""

    def __init__(self, count: int, *arguments: str, cwd: Path, plans: dict[int, dict[str, Any]] | None = None) -> None:
        port = free_port()
        self.members = [
            Running(*arguments, cwd=cwd, plan=(plans or {}).get(rank), environment=environment(rank, count, port))
            for rank in range(count)
        ]

    def wait(self) -> list[Ended]:
        return [member.wait() for member in self.members]


def train(count: int, folder: Path, *overrides: str, plans: dict[int, dict[str, Any]] | None = None) -> list[Ended]:
    """A new run in `folder`."""
    arguments = [*changed(SETTINGS, *overrides), f"hydra.run.dir={folder}"]
    return Team(count, *arguments, cwd=folder.parent, plans=plans).wait()


def resume(count: int, folder: Path, plans: dict[int, dict[str, Any]] | None = None) -> list[Ended]:
    return Team(count, f"resume={folder}", cwd=folder.parent, plans=plans).wait()
