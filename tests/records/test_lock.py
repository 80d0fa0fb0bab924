import os
import subprocess
import sys

import pytest

from cil.errors import ConfigError
from cil.records.lock import locked
from cil.records.states import is_locked

HOLD = """
import sys, time
from pathlib import Path
from cil.records.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""

LOOK = """
import fcntl, sys, time
with open(sys.argv[1] + "/lock", "a") as file:
    fcntl.flock(file, fcntl.LOCK_SH)
    print("held", flush=True)
    time.sleep(0.3)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_process_is_refused_and_told_who_holds_it(tmp_path, holder):
    with pytest.raises(ConfigError, match=f"pid {holder.pid} on "), locked(tmp_path):
        pass


def test_whoever_looks_in_for_a_moment_is_waited_for(tmp_path):
    """`dry_run=true` and a sweep's own look take the lock to see whether a run is alive."""
    with subprocess.Popen([sys.executable, "-c", LOOK, str(tmp_path)], stdout=subprocess.PIPE, text=True) as looker:
        assert looker.stdout.readline() == "held\n"
        with locked(tmp_path):
            assert f"pid {os.getpid()} " in (tmp_path / "lock").read_text()


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path, holder):
    holder.kill()
    holder.wait()
    with locked(tmp_path):
        assert f"pid {os.getpid()} " in (tmp_path / "lock").read_text()


def test_it_is_free_again_afterwards(tmp_path):
    for _ in range(2):
        with locked(tmp_path):
            assert is_locked(tmp_path)
        assert not is_locked(tmp_path)
