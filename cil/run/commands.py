"""How the commands of this project are called where it was installed."""

import sys
from pathlib import Path

from cil.distributed.launch import launched


def command(name: str) -> str:
    """How to call a command (train, report, ...) as the present one was called: `cil-report` or a module of Python."""
    launch = launched()
    if launch is not None and name == "train":
        return f"torchrun --nproc_per_node={launch.local_processes} -m cil.train"
    return f"cil-{name}" if Path(sys.argv[0]).name.startswith("cil-") else f"python -m cil.{name}"
