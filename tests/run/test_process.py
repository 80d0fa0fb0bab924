"""What is set for a whole training process."""

import json
import os
import subprocess
import sys

import pytest
import torch

from cil.records.checkpoint import read_checkpoint, write_checkpoint
from cil.run.process import keep_freed_memory, other_threads, other_versions, thread_counts, torch_versions
from tests.commands import PROJECT, changed, run, train
from tests.sweep.sweeps import TINY

CPU = torch.device("cpu")
PROGRAM = """
import resource, sys, torch
from cil.run.process import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "keep" else None
for number in range(40):
    if number == 30:  # until then, the heap finds its size
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = None
    block = torch.ones(16 << 20)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str, **env: str) -> tuple[str, int]:
    """Whether memory is kept, and the page faults of ten more blocks of 64 MiB, one after another."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")} | {"PYTHONPATH": str(PROJECT)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], env=environment | env, capture_output=True, text=True, check=True
    )
    kept, count = done.stdout.split()
    return kept, int(count)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc only")
def test_freed_memory_is_used_again_without_the_kernel():
    kept, ours = faults("keep")
    if kept == "False":
        pytest.skip("not glibc")
    # 10 times 64 MiB in pages of 4 KiB are 163,840 faults.
    assert ours < 1000 < 100_000 < faults("default")[1]


def test_the_users_own_settings_are_left_alone(monkeypatch):
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    assert keep_freed_memory() is False


def test_other_threads_are_told_where_they_are_known():
    now = torch.get_num_threads()
    assert thread_counts([], CPU) == thread_counts([now], CPU) == [now]
    assert thread_counts([], torch.device("cuda")) == []
    assert other_threads([]) is None and other_threads([now]) is None
    before = thread_counts([now + 1], CPU)
    assert before == [now + 1, now]
    assert f"({now + 1}, {now})" in str(other_threads(before)) and f"OMP_NUM_THREADS={now + 1}" in str(
        other_threads(before)
    )
    assert thread_counts(before, CPU) == before, "a third part does not hide that the first had another number"


def test_a_run_notes_threads_and_pytorch_and_a_resume_with_others_says_so(tmp_path):
    stop = ["trainer.max_tasks=1", "checkpoint.keep_all=true", "hydra.run.dir=run"]
    assert train(*changed(TINY, *stop), cwd=tmp_path).returncode == 0
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["device"]["thread_counts"] == [1]
    status = json.loads((tmp_path / "run/status.json").read_text())
    (tmp_path / "run/status.json").write_text(json.dumps(status | {"state": "running"}))
    for path in (tmp_path / "run/checkpoints").glob("t0*.pt"):
        state = read_checkpoint(path)
        path.unlink()
        write_checkpoint(path.parent, path.stem.rpartition("-")[0], state | {"torch_versions": ["2.9.0"]})
    again = run("cil.train", "resume=run", cwd=tmp_path, env={"OMP_NUM_THREADS": "2"})
    assert again.returncode == 0, again.stderr
    assert "is computed with several numbers of CPU threads (1, 2)" in again.stdout
    assert "is computed with several versions of PyTorch (2.9.0, " in again.stdout
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert (result["device"]["thread_counts"], result["torch_versions"]) == ([1, 2], ["2.9.0", *torch_versions(None)])


def test_versions_of_pytorch_are_noted_and_told():
    now = torch_versions(None)
    assert [type(one) for one in now] == [str] and other_versions(now) is None
    later = torch_versions({"torch_versions": ["2.9.0"]})
    assert later == ["2.9.0", *now]
    assert other_versions(later) == (
        f"is computed with several versions of PyTorch (2.9.0, {now[0]}): it may not equal an unbroken run"
    )
