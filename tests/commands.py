"""Runs commands of the project as a user does, in processes of their own."""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def changed(base: Iterable[str], *changes: str) -> list[str]:
    """`base` with the changes; a key stands in a command only once."""
    keys = {text.partition("=")[0] for text in changes}
    return [*(text for text in base if text.partition("=")[0] not in keys), *changes]


def run(module: str, *arguments: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    """`python -m MODULE ARGUMENTS` in `cwd`; output as text."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"} | (env or {})
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)


def train(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    """`python -m cil.train ARGUMENTS` in `cwd`."""
    return run("cil.train", *arguments, cwd=cwd)
