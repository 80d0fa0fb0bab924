"""Starts processes quickly: `python -m tests.zygote` imports everything once, then forks on demand.

Each is a process of its own that can be killed, with its own exit code; only the imports are done beforehand.
Speaks lines of JSON on stdin and stdout: {"module", "arguments", "plan", "cwd", "environment", "stdout", "stderr"} ->
its pid, and {"wait": pid, "timeout": seconds} -> its exit code (negative: the signal that killed it), or null if it
still runs then.
"""

import atexit
import gc
import importlib
import json
import os
import random
import runpy
import signal
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

PROJECT = Path(__file__).resolve().parent.parent

EVERYTHING = (
    "cil.run.experiment",
    "cil.run.together",
    "cil.methods.tagfex",
    "cil.losses.ant",
    "cil.data.sources.digits",
    "hydra",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "sklearn.datasets",
    "torch.utils.tensorboard",
    "torchvision",
)
"""What commands import, but for themselves."""


class Zygote:
    """The other end: starts it, and runs through it."""

    def __init__(self) -> None:
        environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "tests.zygote"]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, env=environment, **pipes)

    def start(
        self,
        module: str,
        arguments: list[str],
        cwd: Path,
        output: Path,
        environment: dict[str, str] | None = None,
        plan: dict | None = None,
    ) -> int:
        """`python -m MODULE ARGUMENTS`; stdout and stderr go to OUTPUT.out and OUTPUT.err. The process's number.

        plan: faults for cil.train (tests/faults/inject.py).
        """
        paths = {"cwd": str(cwd), "stdout": f"{output}.out", "stderr": f"{output}.err"}
        whole = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"} | (environment or {})
        pid = self._ask({"module": module, "arguments": arguments, "environment": whole, "plan": plan} | paths)
        assert pid is not None
        return pid

    def wait(self, pid: int, timeout: float = 600) -> int:
        """The exit code. A process that takes longer is killed; raises TimeoutError."""
        code = self._ask({"wait": pid, "timeout": timeout})
        if code is None:
            os.kill(pid, signal.SIGKILL)
            self._ask({"wait": pid, "timeout": timeout})
            raise TimeoutError(f"process {pid} has run for {timeout:g} s")
        return code

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _ask(self, request: dict) -> int | None:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
            return json.loads(self._process.stdout.readline())
        except BaseException:  # a test that is stopped here: the answer would be taken for that to the next request
            zygote.cache_clear()
            self._process.kill()
            raise


@cache
def zygote() -> Zygote:
    """The one of this process."""
    found = Zygote()
    atexit.register(found.close)
    return found


def become(request: dict) -> NoReturn:
    """In the forked process: be `python -m MODULE`, down to its exit code.

    Only the interpreter's end is left out (no `__del__` of what is left): to take down one by one the objects that
    were there before the fork takes ten times as long as a command that is refused. Commands with an environment of
    their own, and those of torchrun, end as any process does.
    """
    code, killer = 0, 0
    try:
        _run(request)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if code and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        code, killer = 1, signal.SIGINT if isinstance(error, KeyboardInterrupt) else 0
    threading._shutdown()  # type: ignore[attr-defined]  # waits for them
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except OSError:
            code = 120  # as Python ends where nobody reads what it still has to say
    if killer:
        signal.signal(killer, signal.SIG_DFL)
        os.kill(os.getpid(), killer)
    os._exit(code & 0xFF)


def _run(request: dict) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, name, flags in ((0, os.devnull, os.O_RDONLY), (1, request["stdout"], 0), (2, request["stderr"], 0)):
        handle = os.open(name, flags or os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, number)
        os.close(handle)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    np.random.seed()  # as a new process has it
    random.seed()
    sys.argv = [request["module"], *request["arguments"]]
    sys.path[0] = request["cwd"]  # where `python -m` looks first
    if request["plan"] is None:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        return
    from tests.faults.inject import run

    run(request["plan"])


def wait(pid: int, timeout: float) -> int | None:
    """Exit code of a forked process; None after so many seconds."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    return None


def serve() -> None:
    for name in EVERYTHING:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a collection in a forked process would otherwise visit, and copy, all that is here
    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        if "wait" in request:
            answer = wait(request["wait"], request["timeout"])
        else:
            answer = os.fork()
            if answer == 0:
                become(request)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
