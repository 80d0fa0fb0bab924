"""scripts/gpu_check.py: a part that fails or hangs loses no other, and nothing marked cuda is left out."""

import importlib.util
import json
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from tests.commands import PROJECT


def load(name):
    spec = importlib.util.spec_from_file_location(name, PROJECT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


gpu_check = load("gpu_check")
SEES_THE_OTHERS = """
import json, sys
parts = json.load(open(sys.argv[1]))["parts"]
print([part["state"] for part in parts])
sys.exit([part["state"] for part in parts] != ["failed", "timed out"])
"""


def part(name, code, *arguments, **more):
    return gpu_check.Part(name, name, [sys.executable, "-c", code, *map(str, arguments)], 1.0, **more)


def options(tmp_path, **more):
    given = {"minutes": 1.0, "out": tmp_path, "device": "cpu", "toy": True, "again": False, "data": Path("no/where")}
    return Namespace(**given | more)


@pytest.fixture
def parts(monkeypatch, tmp_path):
    """A part that fails, one that hangs, one that looks at the summary that must be there by now."""
    hanging = "import time; print('still here', flush=True); time.sleep(600)"
    found = [
        part("fails", "print('what went wrong'); raise SystemExit(3)"),
        gpu_check.Part("hangs", "hangs", [sys.executable, "-c", hanging], 0.05),
        part("sees", SEES_THE_OTHERS, tmp_path / "summary.json"),
    ]
    monkeypatch.setattr(gpu_check, "plan_parts", lambda options: found)
    monkeypatch.setattr(gpu_check, "LEAST", 0)
    monkeypatch.setattr(gpu_check, "GRACE", 5)
    return found


def test_a_part_that_fails_or_hangs_loses_no_other(parts, tmp_path, capsys):
    assert gpu_check.check(options(tmp_path)) == 1
    summary = json.loads((tmp_path / "summary.json").read_text())
    found = {one["name"]: one for one in summary["parts"]}
    assert [one["state"] for one in summary["parts"]] == ["failed", "timed out", "passed"]
    assert (found["fails"]["exit_code"], found["fails"]["note"]) == (3, "what went wrong")
    assert found["hangs"]["limit"] == 3.0
    assert summary["machine"]["device"] == "cpu"
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[:3]] == ["fails", "hangs", "sees"]


def test_parts_that_passed_are_kept_at_the_same_commit(parts, tmp_path, monkeypatch):
    del parts[:2]
    parts[0] = part("counts", "import sys; open(sys.argv[1], 'a').write('x')", tmp_path / "runs")
    monkeypatch.setattr("cil.bench.machine.git_commit", lambda: "abc")
    for again in (False, False, True):
        assert gpu_check.check(options(tmp_path, again=again)) == 0
    assert (tmp_path / "runs").read_text() == "xx"
    monkeypatch.setattr("cil.bench.machine.git_commit", lambda: "abc+changes")
    for _ in range(2):
        assert gpu_check.check(options(tmp_path)) == 0
    assert (tmp_path / "runs").read_text() == "xxxx"


def test_a_run_that_is_stopped_when_its_time_is_over_is_not_wrong(parts, tmp_path):
    stopped = (
        "import signal, sys, time; signal.signal(2, lambda *_: sys.exit(130)); print('x', flush=True); time.sleep(600)"
    )
    del parts[:2]
    parts[0] = part("train", stopped, stops=True)
    assert gpu_check.check(options(tmp_path, minutes=0.2)) == 0
    assert json.loads((tmp_path / "summary.json").read_text())["parts"][0]["state"] == "passed"


def test_every_marked_test_is_in_a_part():
    planned = gpu_check.plan_parts(options(Path("out"), device="cuda", toy=False))
    named = {word for one in planned for word in one.command if word.startswith("tests/")}
    marked = {
        path.relative_to(PROJECT).as_posix()
        for path in (PROJECT / "tests").rglob("test_*.py")
        if "mark.cuda" in path.read_text() or "DEVICES" in path.read_text()
    }
    # The runs killed at random points have a command of their own (make test-faults); this file names the marker.
    assert marked - named == {"tests/faults/test_cuda.py", "tests/test_gpu_check.py"}
    assert named - marked == set()
    assert all((PROJECT / name).is_file() for name in named)


def test_without_cuda_it_says_what_to_do(monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert gpu_check.main(["--minutes", "1"]) == 2
    assert capsys.readouterr().err == (
        "cannot start: no CUDA device; --device cpu --toy rehearses everything without one\n"
    )


def test_what_is_not_installed_is_named(monkeypatch, capsys):
    monkeypatch.setattr(gpu_check, "find_spec", lambda name: None if name in ("yaml", "pytest") else object())
    assert gpu_check.main([]) == 2
    assert capsys.readouterr().err == "cannot start: not installed: pyyaml, pytest; pip install pyyaml pytest\n"


def test_what_a_run_has_come_to(finished):
    found = gpu_check.trained(finished.path)["run"]
    rows = [json.loads(line) for line in (finished.path / "metrics.jsonl").read_text().splitlines()]
    epochs = [row for row in rows if row["kind"] == "epoch"]
    assert (found["state_of_run"], found["epochs"]) == ("finished", len(epochs))
    assert (found["task"], found["loss_first"]) == (epochs[-1]["task"], epochs[0]["loss/total"])
    assert gpu_check.trained(finished.path / "nowhere") == {}
