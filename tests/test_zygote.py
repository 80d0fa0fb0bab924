"""Forked commands end as processes of their own do."""

import subprocess
import sys

import pytest

from tests.zygote import zygote

ENDINGS = {
    "falls_off": "",
    "number": "sys.exit(3)",
    "negative": "sys.exit(-1)",
    "text": "sys.exit('told')",
    "nothing": "sys.exit(None)",
    "error": "raise ValueError('wrong')",
    "interrupt": "raise KeyboardInterrupt",
    "killed": "os.kill(os.getpid(), 9)",
    "unread": "reading, writing = os.pipe()\nos.close(reading)\nos.dup2(writing, 1)",
    "at_exit": "atexit.register(print, 'late')",
    "thread": "threading.Thread(target=lambda: (time.sleep(0.1), print('slow'))).start()",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_code_and_output_are_those_of_a_process_of_its_own(ending, tmp_path):
    buffered = "sys.stdout.reconfigure(write_through=False)  # whatever PYTHONUNBUFFERED says"
    lines = ["import atexit, os, sys, threading, time", buffered, "print('begun', *sys.argv[1:])", ENDINGS[ending]]
    (tmp_path / f"{ending}.py").write_text("\n".join(lines))
    command = [sys.executable, "-m", ending, "a b"]
    alone = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    code = zygote().wait(zygote().start(ending, ["a b"], tmp_path, tmp_path / "std"))
    out, err = ((tmp_path / f"std.{name}").read_text() for name in ("out", "err"))
    assert (code, out) == (alone.returncode, alone.stdout)
    if ending != "unread":  # Python says there which stream was ignored
        assert err.splitlines()[-1:] == alone.stderr.splitlines()[-1:]
