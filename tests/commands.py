"""Runs commands of the project as a user does, in processes of their own."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.zygote import PROJECT as PROJECT
from tests.zygote import zygote


def changed(base: Iterable[str], *changes: str) -> list[str]:
    """`base` with the changes; a key stands in a command only once."""
    keys = {text.partition("=")[0] for text in changes}
    return [*(text for text in base if text.partition("=")[0] not in keys), *changes]


def run(module: str, *arguments: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    """`python -m MODULE ARGUMENTS` in `cwd`; output as text.

    Forked from a process that has imported everything (tests/zygote.py), unless `env` is given, which imports may read.
    """
    if env is None:
        with tempfile.TemporaryDirectory(prefix="cil-command-") as folder:
            output = Path(folder, "std")
            code = zygote().wait(zygote().start(module, list(arguments), cwd, output), timeout=300)
            out, err = (Path(f"{output}.{name}").read_text() for name in ("out", "err"))
        return subprocess.CompletedProcess([module, *arguments], code, out, err)
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"} | env
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)


def train(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    """`python -m cil.train ARGUMENTS` in `cwd`."""
    return run("cil.train", *arguments, cwd=cwd)
