"""Runs written by earlier versions stay alive: tests/compat is continued, skipped, repeated and reported.

tests/compat/README.md says how they were made, all by 0.1.0. They are kept for good; every release adds a set.
"""

import json
import re
import shutil
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from cil.config import schema, typed, usage
from cil.config.identity import run_id
from cil.config.keys import key
from cil.config.typed import load_effective, plain
from tests.commands import run

COMPAT = Path(__file__).parent / "compat"
RUNS = sorted(path.parent for path in COMPAT.glob("outputs/**/config.yaml"))
SWEEP = [
    "-m", "name=compat", "loss=infonce,ant,ant_adaptive", "seed=1", "backbone.projector_hidden=16",
    "backbone.projector_out=8", "trainer.init_epochs=3", "trainer.inc_epochs=3", "memory.size=40",
    "tracking.similarity_histogram=false", "tracking.confusion_matrix=false", "trainer.max_tasks=1",
]  # fmt: skip


@pytest.fixture
def outputs(tmp_path):
    """A copy that may be written to, and lies where the commands are launched."""
    shutil.copytree(COMPAT / "outputs", tmp_path / "outputs")
    return tmp_path / "outputs"


def hashes(folder: Path) -> dict[str, str]:
    """Content of every file but what every sweep writes: sweep.json, and the folder for TensorBoard."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in ("sweep.json", "lock")]
    files = [path for path in files if "curves" not in path.parts]
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}


def records(path: Path) -> list[dict]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{k: v for k, v in line.items() if not k.startswith("time/") and k != "train_seconds"} for line in lines]


def test_there_are_runs_to_look_at():
    assert len(RUNS) == 6


@pytest.mark.parametrize("folder", RUNS, ids=lambda folder: folder.name)
def test_its_identity_is_what_it_was(folder):
    effective = plain(load_effective(folder / "config.yaml"))
    stored = folder / "result.json"
    known = json.loads(stored.read_text())["config_id"] if stored.exists() else run_id_of_twin()
    assert run_id(effective) == known


def run_id_of_twin() -> str:
    return json.loads((COMPAT / "outputs/twin/unbroken/result.json").read_text())["config_id"]


def test_the_sweep_run_again_skips_every_job(outputs):
    before = hashes(outputs / "sweeps")
    done = run("cil.train", *SWEEP, cwd=outputs.parent)
    assert done.returncode == 0, done.stderr
    assert "3 jobs: 3 skipped" in done.stdout
    assert hashes(outputs / "sweeps") == before


def test_its_infonce_run_serves_other_margins_of_the_statistics(outputs):
    command = [*(text for text in SWEEP if not text.startswith("loss=")), "loss=infonce", "ant_margin=0.2,0.3"]
    done = run("cil.train", *command, "dry_run=true", cwd=outputs.parent)
    assert done.returncode == 0, done.stderr
    assert "1 job: 1 done" in done.stdout
    assert "measured at 0.1, as in the run that is there" in done.stdout


def test_the_interrupted_run_ends_like_its_unbroken_twin(outputs):
    """Bit for bit, where the processor computes the bits that one of the two kept records was made with.

    The unbroken twin was made on another kind of processor than continued_avx2.jsonl, which is what 0.1.0 itself made
    of the interrupted run with one thread and AVX2.
    """
    twin = outputs / "twin"
    done = run("cil.train", "resume=outputs/twin/interrupted", cwd=outputs.parent)
    assert done.returncode == 0, done.stderr
    ours = records(twin / "interrupted/metrics.jsonl")
    kept = [records(twin / "unbroken/metrics.jsonl"), records(COMPAT / "continued_avx2.jsonl")]
    assert ours[:4] == kept[0][:4] == kept[1][:4]
    assert [(r["kind"], r["task"], r["step"]) for r in ours] == [(r["kind"], r["task"], r["step"]) for r in kept[0]]
    for name, value in kept[0][4].items():
        assert ours[4][name] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-2, abs=1e-3)), name
    if ours not in kept:
        pytest.skip("this processor computes other last bits than those the two records were made on")
    result = json.loads((twin / "interrupted/result.json").read_text())
    if ours == kept[0]:
        unbroken = json.loads((twin / "unbroken/result.json").read_text())
        for name in ("matrices", "curves", "config_id", "class_order", "incremental_avg_top1"):
            assert result[name] == unbroken[name], name
    assert result["curves"]["top1"][-1] == ours[-1]["task/top1"]


def test_a_configuration_without_a_later_key_is_continued(outputs):
    path = outputs / "twin/interrupted/config.yaml"
    assert "  forecast: true\n" in path.read_text()
    path.write_text(path.read_text().replace("  forecast: true\n", ""))
    done = run("cil.train", "resume=outputs/twin/interrupted", "dry_run=true", cwd=outputs.parent)
    assert done.returncode == 0, done.stderr
    assert "1 job: 1" in done.stdout
    assert run_id(plain(load_effective(path))) == run_id_of_twin()


def test_a_new_run_of_a_stored_configuration_has_the_same_identity(outputs):
    done = run("cil.train", "rerun=outputs/single/finished", "trainer.max_tasks=1", "seed=4", cwd=outputs.parent)
    assert done.returncode == 0, done.stderr
    (new,) = (outputs / "single").glob("*-*/config.yaml")
    effective = plain(load_effective(new))
    effective["trainer"]["max_tasks"], effective["seed"] = 2, 3
    stored = plain(load_effective(outputs / "single/finished/config.yaml"))
    assert run_id(effective) == run_id(stored)


def test_the_report_is_the_one_it_was(outputs):
    paths = ["outputs/sweeps/compat", "outputs/single", "outputs/twin/unbroken"]
    done = run("cil.report", *paths, cwd=outputs.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == (COMPAT / "report.txt").read_text().splitlines()


def test_two_of_its_runs_can_be_compared(outputs):
    done = run("cil.report", "diff", "outputs/single/finished", "outputs/twin/unbroken", cwd=outputs.parent)
    assert done.returncode == 0, done.stderr
    assert re.search(r"loss\.gap_beta +0\.5 +0", done.stdout)
    assert re.search(r"average \(%\) +43\.82 +42\.98 +-0\.84", done.stdout)


@pytest.fixture
def later_key(monkeypatch):
    """A schema with one more key, as a later version would have it."""
    from dataclasses import dataclass

    @dataclass
    class MemoryConfig(schema.MemoryConfig):
        compress: float | None = key(0.5, neutral=1.0)
        """A key that no released version had."""

    caches = (
        usage.key_facts,
        usage.default_of,
        usage.group_facts,
        typed._schema,
        typed.register_schema,
        typed.key_types,
    )
    for function in caches:
        function.cache_clear()
    monkeypatch.setattr(
        schema.RunConfig, "__annotations__", {**schema.RunConfig.__annotations__, "memory": MemoryConfig}
    )
    monkeypatch.setattr(schema.RunConfig.__dataclass_fields__["memory"], "default_factory", MemoryConfig)
    monkeypatch.setattr(schema.RunConfig.__dataclass_fields__["memory"], "type", MemoryConfig)
    yield "memory.compress"
    monkeypatch.undo()
    for function in caches:
        function.cache_clear()


@pytest.mark.parametrize("folder", RUNS, ids=lambda folder: folder.name)
def test_a_key_added_later_changes_no_identity_and_is_filled_in(folder, later_key):
    stored = yaml.safe_load((folder / "config.yaml").read_text())
    filled = usage.with_neutral(stored)
    assert filled["memory"]["compress"] == 1.0 and "compress" not in stored["memory"]
    known = run_id({**filled, "memory": stored["memory"]})
    assert run_id(filled) == known
    filled["memory"]["compress"] = 0.5
    assert run_id(filled) != known
