"""Starts tiny runs in processes of their own, and compares what they leave behind."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cil.records.checkpoint import read_checkpoint
from tests.commands import PROJECT, changed
from tests.zygote import zygote

SETTINGS = (
    "device=cpu",
    "loss=ant_adaptive",
    "margin_schedule.gap_ratio=0.8",
    "dataset.max_train_per_class=12",
    "dataset.max_test_per_class=8",
    "dataset.holdout_per_class=2",
    "trainer.init_epochs=2",
    "trainer.inc_epochs=2",
    "trainer.batch_size=10",
    "trainer.eval_batch_size=16",
    "trainer.eval_every=1",
    "trainer.max_tasks=4",
    "memory.size=20",
    "tracking.confusion_matrix=false",
    "tracking.similarity_histogram=false",
)
"""Four tasks of two epochs, evaluated after each: 36 steps (task 1: 1-6, task 2: 7-16), a second of training."""

EVERY_STEP = "checkpoint.every_minutes=1e-9"
TIMES = ("seconds", "train_seconds", "task_seconds", "peak_bytes")

Plan = dict[str, Any]


class Running:
    """A process of `python -m cil.train ARGUMENTS`, with the faults of `plan` in it.

    `fresh` starts Python anew for it; otherwise it is forked from one that has imported everything.
    """

    def __init__(
        self,
        *arguments: str,
        cwd: Path,
        plan: Plan | None = None,
        fresh: bool = False,
        group: bool = False,
        environment: dict[str, str] | None = None,
    ) -> None:
        self._output = Path(tempfile.mkdtemp(prefix="cil-faults-")) / "std"
        self._process = None
        if not fresh:
            self.pid = zygote().start("cil.train", list(arguments), cwd, self._output, environment, plan or {})
            return
        module = ["cil.train"] if plan is None else ["tests.faults.inject", json.dumps(plan)]
        environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"} | (environment or {})
        command = [sys.executable, "-m", *module, *arguments]
        with open(f"{self._output}.out", "w") as out, open(f"{self._output}.err", "w") as err:
            self._process = subprocess.Popen(
                command, cwd=cwd, env=environment, stdout=out, stderr=err, start_new_session=group
            )
        self.pid = self._process.pid

    def send(self, signum: int) -> None:
        os.kill(self.pid, signum)

    @property
    def alive(self) -> bool:
        """Whether it still runs: a process that nobody has waited for yet is a zombie."""
        state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z"

    def wait(self) -> "Ended":
        code = zygote().wait(self.pid) if self._process is None else self._process.wait(timeout=600)
        ended = Ended(code, Path(f"{self._output}.out").read_text(), Path(f"{self._output}.err").read_text())
        shutil.rmtree(self._output.parent)
        return ended


@dataclass(frozen=True)
class Ended:
    """A process that has ended. code: negative if a signal killed it."""

    code: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        return f"exit code {self.code}\n{self.stdout}\n{self.stderr}"


def run(*arguments: str, cwd: Path, plan: Plan | None = None, fresh: bool = False) -> Ended:
    return Running(*arguments, cwd=cwd, plan=plan, fresh=fresh).wait()


def train(folder: Path, *overrides: str, plan: Plan | None = None) -> Ended:
    """A new run in `folder`."""
    return run(*changed(SETTINGS, *overrides), f"hydra.run.dir={folder}", cwd=folder.parent, plan=plan)


def resume(folder: Path, *overrides: str, plan: Plan | None = None) -> Ended:
    """Go on with the run in `folder`; it must not matter where the command is given."""
    return run(f"resume={folder}", *overrides, cwd=folder.parent, plan=plan)


def status(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "status.json").read_text())


def checkpoints(folder: Path) -> list[Path]:
    """The states to continue from, oldest first."""
    return sorted((folder / "checkpoints").glob("t0*.pt"))


def hashes(folder: Path) -> dict[str, str]:
    """Every file of a folder with a hash of its content."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def untimed(value: Any) -> Any:
    """Without what differs from run to run because time does."""
    if isinstance(value, dict):
        return {k: untimed(v) for k, v in value.items() if k not in TIMES and not str(k).startswith("time/")}
    return [untimed(item) for item in value] if isinstance(value, list) else value


def result(folder: Path) -> dict[str, Any]:
    """result.json without times."""
    return untimed(json.loads((folder / "result.json").read_text()))


def metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without times."""
    return [untimed(json.loads(line)) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Every TensorBoard tag's (step, value) in the order they were written; values of times are left out."""
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    return {
        tag: [(event.step, 0.0 if tag.startswith("time/") else event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def final_model(folder: Path) -> dict[str, Any]:
    (path,) = (folder / "checkpoints").glob("final-*.pt")
    return read_checkpoint(path)


def assert_equal(a: Any, b: Any, where: str = "") -> None:
    """Equal bit for bit, tensors included."""
    assert type(a) is type(b), where
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_equal(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list):
        assert len(a) == len(b), where
        for index, (left, right) in enumerate(zip(a, b, strict=True)):
            assert_equal(left, right, f"{where}[{index}]")
    elif isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype and torch.equal(a, b), where
    else:
        assert a == b, where


def assert_same_outcome(folder: Path, reference: Path) -> None:
    """The run in `folder` ended as the unbroken one in `reference`: figures, curves and weights, bit for bit."""
    assert status(folder)["state"] == "finished"
    assert result(folder) == result(reference)
    assert metrics(folder) == metrics(reference)
    assert_rising(folder)
    assert curves(folder) == curves(reference)
    model, expected = final_model(folder), final_model(reference)
    assert_equal(model["method"], expected["method"], "method")
    assert_equal(untimed(model["task_end"]), untimed(expected["task_end"]), "task_end")
    assert_tidy(folder)


def assert_rising(folder: Path) -> None:
    """One event folder, and in it strictly rising steps for every tag."""
    assert len(list((folder / "tensorboard").iterdir())) in (1, 2)  # the one before stays for an open viewer
    for tag, points in curves(folder).items():
        steps = [step for step, _ in points]
        assert steps == sorted(set(steps)), tag


def assert_tidy(folder: Path) -> None:
    """A finished run keeps its final model only, and nothing temporary."""
    assert not list(folder.rglob("*.tmp")) + list(folder.rglob(".*"))
    assert [path.name.split("-")[0] for path in (folder / "checkpoints").iterdir()] == ["final"]


def assert_clean_exit(ended: Ended, code: int) -> None:
    """The expected exit code, and no traceback."""
    assert ended.code == code, ended.text
    assert "Traceback" not in ended.stderr + ended.stdout, ended.text


def wait_until(condition: Callable[[], bool], seconds: float = 300.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
