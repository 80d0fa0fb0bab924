"""What the commands on a finished run do when nobody reads what they print."""

import os
import subprocess
import sys

import pytest

from tests.commands import PROJECT

SCRIPT = """
import sys
from pathlib import Path
from cil.trained.command import on_a_run

def work(run, words):
    for number in range(20000):
        print("line", number)
    Path(words[0]).write_text("done")

raise SystemExit(on_a_run(sys.argv[1:], "help", work))
"""


@pytest.mark.parametrize("reader", ["| head -1", "| true", ">&-"])
def test_the_work_is_done_to_its_end_without_a_traceback(tmp_path, reader: str):
    (tmp_path / "config.yaml").touch()
    command = f"('{sys.executable}' -c \"$0\" {tmp_path} {tmp_path}/file; echo $? >{tmp_path}/code) {reader}"
    done = subprocess.run(
        ["sh", "-c", command, SCRIPT], env=os.environ | {"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True
    )
    assert done.stderr == "" and (tmp_path / "code").read_text() == "0\n"
    assert (tmp_path / "file").read_text() == "done"


def test_a_full_disk_is_told(tmp_path):
    (tmp_path / "config.yaml").touch()
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(tmp_path / "file")]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, env=os.environ | {"PYTHONPATH": str(PROJECT)}, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode != 0 and "data error: [Errno 28]" in done.stderr and "Traceback" not in done.stderr
