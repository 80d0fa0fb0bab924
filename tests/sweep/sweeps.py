"""Small sweeps in this process, and what they leave behind."""

import hashlib
import json
from pathlib import Path

from cil.planning.plan import plan
from cil.sweep.runner import run_sweep
from tests.commands import changed

TINY = [
    "dataset.max_train_per_class=6",
    "dataset.max_test_per_class=4",
    "trainer.init_epochs=1",
    "trainer.inc_epochs=1",
    "trainer.batch_size=6",
    "trainer.max_tasks=2",
    "trainer.forecast=false",
    "memory.size=10",
    "tracking.tensorboard=false",
    "tracking.progress=false",
    "loss=ant",
    "name=tiny",
]
SWEEP = Path("outputs/sweeps/tiny")


def sweep(*arguments: str) -> int:
    """Run a sweep from the present folder; its exit code."""
    return run_sweep(plan(["-m", *changed(TINY, *arguments)]))


def jobs(*arguments: str):
    """The jobs of that sweep."""
    return plan(["-m", *changed(TINY, *arguments)]).jobs


def hashes(folder: Path) -> dict[str, str]:
    """Every file of a folder and the hash of its content and time stamp."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() + str(path.stat().st_mtime_ns)
        for path in files
    }


def figures(folder: Path) -> tuple[list, dict]:
    """metrics.jsonl and result.json without times."""
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    records = [{k: v for k, v in r.items() if not k.startswith("time/") and "seconds" not in k} for r in records]
    result = json.loads((folder / "result.json").read_text())
    for task in result["tasks"]:
        task.pop("train_seconds")
    return records, {key: value for key, value in result.items() if "seconds" not in key}


def table_of(folder: Path = SWEEP) -> dict[str, str]:
    """Job -> state in the newest sweep of sweep.json."""
    content = json.loads((folder / "sweep.json").read_text())
    return {row["id"]: row["state"] for row in content["sweeps"][-1]["jobs"]}
