"""A run goes on when nobody reads its output any more."""

import os
import signal
import subprocess
import sys

import pytest

from cil.records.folder import read_status
from cil.records.output import lasting_output
from tests.commands import PROJECT, changed
from tests.zygote import zygote

SMALL = ["dataset.max_train_per_class=12", "dataset.max_test_per_class=8", "trainer.init_epochs=2"]
SMALL += ["trainer.inc_epochs=1", "trainer.max_tasks=2", "memory.size=20", "trainer.batch_size=10"]


def test_a_broken_stream_is_let_go():
    reading, writing = os.pipe()
    os.close(reading)
    before, sys.stdout = sys.stdout, os.fdopen(writing, "w")
    try:
        with lasting_output():
            print("nobody reads this", flush=True)
            print("nor this")
        assert not hasattr(sys.stdout, "_stream"), "the stream of before is back"
        sys.stdout.close()
    finally:
        sys.stdout = before


@pytest.mark.parametrize("signum", [None, signal.SIGTERM, signal.SIGHUP])
def test_a_run_whose_reader_left_ends_as_ever(tmp_path, signum):
    """`... 2>&1 | head -9`; with a signal: Ctrl-C ends a `tee` first, a closing terminal takes the reader along."""
    epochs = "trainer.init_epochs=2" if signum is None else "trainer.init_epochs=2000"
    os.mkfifo(tmp_path / "std.out")
    (tmp_path / "std.err").symlink_to("std.out")
    arguments = [*changed(SMALL, epochs), f"hydra.run.dir={tmp_path}/run"]
    pid = zygote().start("cil.train", arguments, tmp_path, tmp_path / "std")
    with open(tmp_path / "std.out") as reader:
        while "forecast: " not in (line := reader.readline()):
            assert line, f"the run ended with {zygote().wait(pid)} before it trained"
    if signum is not None:
        os.kill(pid, signum)
    assert zygote().wait(pid, timeout=120) == (0 if signum is None else 128 + signum)
    assert read_status(tmp_path / "run")["state"] == ("finished" if signum is None else "interrupted")
    if signum is not None:
        assert list((tmp_path / "run" / "checkpoints").glob("t0*.pt"))


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_a_run_needs_no_stream(tmp_path, closed):
    """Where a descriptor is closed, the next file would get its number, and a library's message end up in that file."""
    arguments = " ".join([*SMALL, f"hydra.run.dir={tmp_path}/run"])
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    command = f"{sys.executable} -m cil.train {arguments} {closed}"
    assert subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment, timeout=120).returncode == 0
    assert read_status(tmp_path / "run")["state"] == "finished"
    assert "Traceback" not in (tmp_path / "run" / "train.log").read_text()


def test_closed_descriptors_are_opened_on_nothing():
    script = (
        "import os, sys\n"
        "from cil.records.output import lasting_output\n"
        "assert sys.stderr is None\n"
        "with lasting_output():\n"
        "    print('said', file=sys.stderr)\n"
        "    assert open('/dev/zero').fileno() > 2 and os.path.samestat(os.fstat(2), os.stat(os.devnull))\n"
        "assert sys.stderr is None\n"
    )
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    command = ["sh", "-c", '"$0" -c "$1" 2>&-', sys.executable, script]
    assert subprocess.run(command, env=environment, timeout=60).returncode == 0
