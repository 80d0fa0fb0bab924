"""The first time on a GPU as one command: is everything right there, how fast is it, and a start of the main job.

    python scripts/gpu_check.py --minutes 10 --data data/cifar100 --out outputs/gpu_check
    python scripts/gpu_check.py --device cpu --toy          # rehearse it without a GPU, in a few minutes
    python scripts/gpu_check.py --write-docs outputs/gpu_check   # its figures into docs/benchmarks.md

Correctness comes first (the tests marked `cuda`, the golden figures, no waiting inside an epoch, real lack of memory,
resume bit for bit), then `cil.bench`, then task 1 of CIFAR-100 10-10 for as long as time is left. Each part is a
process with a time limit of its own; the summary is written after every part, so one that fails or hangs loses no
other. The same command again, in the same folder, keeps the parts that passed at the same commit (--again repeats them)
and goes on with the training run. Needs the project's dependencies and pytest, no plugins.

Exit code: 0 if no part failed, 1 if one did or all were skipped, 2 if it cannot start.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
NEEDED = {
    "torch": "torch", "torchvision": "torchvision", "hydra": "hydra-core", "omegaconf": "omegaconf", "numpy": "numpy",
    "pandas": "pandas", "PIL": "pillow", "yaml": "pyyaml", "rich": "rich", "safetensors": "safetensors",
    "sklearn": "scikit-learn", "scipy": "scipy", "tensorboard": "tensorboard", "tqdm": "tqdm",
    "matplotlib": "matplotlib", "pytest": "pytest",
}  # fmt: skip
"""Module -> package."""
GRACE = 30
"""Seconds that a part has to stop by itself before it is killed."""
LEAST = 20
"""A part with fewer seconds left is not begun."""
GOLDEN = (
    "tests/losses/test_golden_contrastive.py",
    "tests/data/test_herding.py",
    "tests/methods/test_golden_trajectory.py",
)
CUDA = "tests/cuda/test_"
Record = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """One process. share: of the whole time, at most; the last part has what is left."""

    name: str
    what: str
    command: list[str]
    share: float
    stops: bool = False
    """It is meant to be stopped when its time is over, and is not wrong then."""
    skip: str | None = None
    """Why it cannot be run here."""


def pytest_part(name: str, what: str, share: float, options: argparse.Namespace, marker: str, *paths: str) -> Part:
    """Tests, with a junit file. The project's own options of pytest are left out: they need its plugins."""
    junit = f"--junitxml={options.out.resolve() / name}.xml"
    command = [sys.executable, "-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", "-v", "--tb=short", junit]
    return Part(name, what, [*command, "-m", marker, *paths], share)


def marked_files() -> list[str]:
    """Test files with the marker: the others may need packages that are not there."""
    tests = PROJECT / "tests"
    found = [
        path for path in sorted(tests.rglob("test_*.py")) if "pytest.mark.cuda" in path.read_text(encoding="utf-8")
    ]
    apart = ("tests/cuda/", "tests/faults/", *GOLDEN)
    names = [path.relative_to(PROJECT).as_posix() for path in found]
    return [name for name in names if not name.startswith(apart)]


def plan_parts(options: argparse.Namespace) -> list[Part]:
    """What is run, in order."""
    on = "cuda" if options.device == "cuda" else "not cuda"
    golden = GOLDEN if not options.toy else GOLDEN[1:2]
    few = ["-k", "replay or refused"] if options.toy else []
    parts = [
        pytest_part("tests", "tests marked cuda", 0.15, options, "cuda", *marked_files()),
        pytest_part("agreement", "golden figures", 0.1, options, f"golden and {on}", *golden),
        pytest_part("no_waiting", "no waiting in an epoch", 0.15, options, on, *few, f"{CUDA}no_waiting.py"),
        pytest_part("out_of_memory", "a full device splits the batch", 0.1, options, on, f"{CUDA}out_of_memory.py"),
        pytest_part("resume", "a continued run equals the unbroken one", 0.2, options, on, f"{CUDA}resume.py"),
    ]
    device = f"device={options.device}"
    main = ["dataset=cifar100", "split=10-10", "loss=ant_adaptive", device]
    if options.toy:
        main = ["dataset=digits", "loss=ant_adaptive", device]
    root = [f"dataset.root={options.data.resolve()}"] if options.data.is_dir() and not options.toy else []
    short = ["--steps", "1", "--rounds", "1", "--tasks", "1,2"] if options.toy else []
    for name, share, more in (
        ("bench", 0.25, []),
        ("bench_bf16", 0.1, ["trainer.precision=bf16", "--only", "step,evaluation"]),
    ):
        out = ["--out", str(options.out.resolve() / f"{name}.json")]
        command = [sys.executable, "-m", "cil.bench", *main, *root, *more, *short, *out]
        parts.append(Part(name, " ".join(["python -m cil.bench", *main, *more]), command, share))
    run = options.out.resolve() / "run"
    settings = [*main, *root, f"hydra.run.dir={run}", "checkpoint.every_minutes=1", "tracking.progress=false"]
    if (run / "status.json").is_file():
        settings = [f"resume={run}", *root, device]
    skip = None if root or options.toy else f"no CIFAR-100 in {options.data} (--data DIR)"
    parts.append(
        Part(
            "train", "start of the main job", [sys.executable, "-m", "cil.train", *settings], 1.0, stops=True, skip=skip
        )
    )
    return parts


def run_part(part: Part, seconds: float, log: Path) -> Record:
    """How it ended: state (passed, failed, timed out, skipped), seconds, limit."""
    record: Record = {"name": part.name, "what": part.what, "command": part.command, "limit": round(seconds, 1)}
    if part.skip is not None:
        return record | {"state": "skipped", "note": part.skip, "seconds": 0.0}
    if seconds < LEAST + GRACE * part.stops:
        return record | {"state": "skipped", "note": "no time was left", "seconds": 0.0}
    started, late = time.monotonic(), False
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"}
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            part.command, cwd=PROJECT, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = process.wait(max(1.0, seconds - GRACE) if part.stops else seconds)
        except subprocess.TimeoutExpired:
            late = True
            code = _stop(process)
        except BaseException:
            _stop(process)
            raise
    state = "passed" if code == 0 else "failed"
    if late:
        state = "passed" if part.stops and code in (128 + signal.SIGINT, 0) else "timed out"
    return record | {"state": state, "exit_code": code, "seconds": round(time.monotonic() - started, 1)}


def _stop(process: subprocess.Popen[bytes]) -> int:
    """Ask the process and all it started to end, then end it."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        return process.wait(GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


def looked_at(record: Record, out: Path, log: Path) -> Record:
    """The record with what the part's own files say: counts of tests and the failed ones, or the last line."""
    junit = out / f"{record['name']}.xml"
    if "pytest" in record["command"] and junit.is_file():
        from xml.etree import ElementTree  # a file that pytest has just written here

        cases = list(ElementTree.parse(junit).iter("testcase"))
        bad = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
        skipped = [case for case in cases if case.find("skipped") is not None]
        record |= {"tests": len(cases), "failures": len(bad), "skipped_tests": len(skipped)}
        record["failed_tests"] = [f"{case.get('classname')}::{case.get('name')}" for case in bad]
        if record["state"] == "passed" and len(skipped) == len(cases):
            record |= {"state": "skipped", "note": "no CUDA"}
    if record["state"] in ("failed", "timed out") and log.is_file():
        lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        record["note"] = lines[-1].strip("= ")[:300] if lines else "it wrote nothing"
    if record["name"] == "train":
        record |= trained(out / "run")
    return record


def trained(run: Path) -> Record:
    """What the training run has come to: epochs, their seconds, accuracy on the training images."""
    try:
        status = json.loads((run / "status.json").read_text())
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    except (OSError, ValueError):
        return {}
    epochs = [row for row in rows if row["kind"] == "epoch"]
    seconds = sorted(row["time/epoch_seconds"] for row in epochs)
    rates = sorted(row["time/images_per_second"] for row in epochs)
    figures: Record = {"state_of_run": status.get("state"), "epochs": len(epochs)}
    if epochs:
        last = epochs[-1]
        figures |= {"task": last["task"], "epoch": last["epoch"], "train_top1": last.get("train/top1")}
        figures |= {"epoch_seconds": seconds[len(seconds) // 2], "images_per_second": rates[len(rates) // 2]}
        figures |= {"loss_first": epochs[0]["loss/total"], "loss_last": last["loss/total"]}
    return {"run": figures}


def begun(options: argparse.Namespace) -> Record:
    """When, where, with what."""
    import torch

    from cil.bench.machine import facts

    return {"schema_version": 1, "minutes": options.minutes, "toy": options.toy} | facts(torch.device(options.device))


def earlier_parts(summary: Path, now: Record) -> dict[str, Record]:
    """Parts that passed here before, by the same code on the same device."""
    try:
        before = json.loads(summary.read_text())
        same = before["git_commit"] == now["git_commit"] and not str(now["git_commit"]).endswith("+changes")
        same &= all(before["machine"][key] == now["machine"][key] for key in ("device", "gpu", "cpu"))
        same &= before["toy"] == now["toy"]
        return {part["name"]: part for part in before["parts"] if same and part["state"] == "passed"}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def check(options: argparse.Namespace) -> int:
    """Run the parts; the exit code."""
    started = time.monotonic()
    options.out.mkdir(parents=True, exist_ok=True)
    summary = options.out / "summary.json"
    record = begun(options)
    kept = {} if options.again else earlier_parts(summary, record)
    record["parts"] = []
    for part in plan_parts(options):
        log = options.out / f"{part.name}.log"
        if part.name in kept and not part.stops:
            found = kept[part.name]
        else:
            left = 60 * options.minutes - (time.monotonic() - started)
            found = looked_at(run_part(part, min(left, 60 * options.minutes * part.share), log), options.out, log)
        record["parts"].append(found)
        record["seconds"] = round(time.monotonic() - started, 1)
        summary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        note = f" ({found['note']})" if found.get("note") else ""
        tests = f", {found['tests']} tests" if "tests" in found else ""
        print(f"{found['name']:14s} {found['state']:10s} {found['seconds']:7.1f} s{tests}{note}", flush=True)
    print(f"written: {summary}; python scripts/gpu_check.py --write-docs {options.out}")
    states = [part["state"] for part in record["parts"]]
    return int(any(state in ("failed", "timed out") for state in states) or set(states) == {"skipped"})


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, look whether it can start, run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="for everything together (default: 10)")
    parser.add_argument("--out", type=Path, default=Path("outputs/gpu_check"), help="the folder that all goes into")
    parser.add_argument("--data", type=Path, default=Path("data/cifar100"), help="where CIFAR-100 is")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--toy", action="store_true", help="rehearse: digits, one step, few tests")
    parser.add_argument("--again", action="store_true", help="repeat the parts that have passed, too")
    parser.add_argument(
        "--write-docs", type=Path, metavar="FOLDER", help="write FOLDER's figures into the docs, and end"
    )
    options = parser.parse_args(argv)
    if not options.minutes > 0:
        print(f"cannot start: --minutes {options.minutes:g}; valid: more than 0", file=sys.stderr)
        return 2
    missing = [package for module, package in NEEDED.items() if find_spec(module) is None]
    if missing:
        print(f"cannot start: not installed: {', '.join(missing)}; pip install {' '.join(missing)}", file=sys.stderr)
        return 2
    sys.path.insert(0, str(PROJECT))
    if options.write_docs is not None:
        import benchmarks_page

        return benchmarks_page.main(["--gpu", str(options.write_docs)])
    import torch

    if options.device == "cuda" and not torch.cuda.is_available():
        print("cannot start: no CUDA device; --device cpu --toy rehearses everything without one", file=sys.stderr)
        return 2
    return check(options)


if __name__ == "__main__":
    sys.exit(main())
