"""Runs in several processes, as torchrun starts them, without torchrun's own start-up time."""

import socket
from pathlib import Path
from typing import Any

from tests.commands import PROJECT, changed
from tests.faults.runs import SETTINGS, Ended, Running
from tests.zygote import zygote


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


def in_processes(module: str, count: int, *arguments: str, output: Path) -> None:
    """`count` processes of `python -m MODULE ARGUMENTS`, which have to succeed; they print to OUTPUT.RANK.out and .err.

    One process is started as a user does, without torchrun.
    """
    port = free_port()
    started = [
        zygote().start(
            module, list(arguments), PROJECT, output.with_suffix(f".{rank}"),
            environment(rank, count, port) if count > 1 else {},
        )
        for rank in range(count)
    ]  # fmt: skip
    assert [zygote().wait(pid) for pid in started] == [0] * count, Path(f"{output.with_suffix('.0')}.err").read_text()


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
