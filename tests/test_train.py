"""The command line from the outside: files, exit codes, and what a user sees."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cil.config.launch import LAUNCH_KEYS
from cil.planning.docs import option_docs
from cil.planning.loading import make_loader
from cil.planning.overrides import OverrideChecker
from cil.records.checkpoint import read_checkpoint
from tests.commands import PROJECT, train

CONTRACT_FILES = {"config.yaml", "status.json", "metrics.jsonl", "result.json", "tensorboard", "train.log"}


def only_folder(parent: Path) -> Path:
    (folder,) = parent.iterdir()
    return folder


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """One finished run: (folder, process)."""
    cwd = tmp_path_factory.mktemp("smoke")
    process = train("debug=smoke", "trainer.eval_every=1", cwd=cwd)
    assert process.returncode == 0, process.stderr
    return only_folder(cwd / "outputs" / "smoke"), process


def records(folder: Path, kind: str) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


def test_a_run_leaves_the_files_of_the_contract(smoke):
    folder, _ = smoke
    assert {path.name for path in folder.iterdir()} >= CONTRACT_FILES
    config = (folder / "config.yaml").read_text()
    assert "${" not in config
    assert "hydra" not in yaml.safe_load(config)
    status = json.loads((folder / "status.json").read_text())
    assert status["state"] == "finished"
    assert {"pid", "host", "started", "ended", "progress"} <= status.keys()


def test_result_json_holds_what_a_report_needs(smoke):
    folder, _ = smoke
    result = json.loads((folder / "result.json").read_text())
    assert [len(row) for row in result["matrices"]["top1"]] == [1, 2]
    assert result["matrices"]["top5"] == [[None], [None, None]], "fewer than 6 classes are known"
    for kind in ("top1", "nme_top1"):
        prefix, suffix = ("nme_", "top1") if kind.startswith("nme_") else ("", "top1")
        curve = result["curves"][kind]
        assert result[f"{prefix}incremental_avg_{suffix}"] == pytest.approx(sum(curve) / 2)
        assert result[f"{prefix}last_{suffix}"] == curve[-1]
        matrix = result["matrices"][kind]
        assert result[f"{prefix}forgetting_{suffix}"] == pytest.approx(matrix[0][0] - matrix[1][0])
        assert result[f"{prefix}last_task_mean_{suffix}"] == pytest.approx(sum(matrix[1]) / 2)
    first, second = result["tasks"]
    assert (first["classes"], first["names"]) == ([0, 1], ["0", "1"])
    assert (first["train_images"], first["test_images"]) == (40, 20)
    assert (second["train_images"], second["test_images"], second["exemplars"]) == (40 + first["exemplars"], 40, 80)
    assert result["seeds"]["seed"] == 1993
    assert result["parameters"] > 0
    assert {"torch", "python", "cil"} <= result["versions"].keys()
    assert len(result["config_id"]) == 12


def test_the_table_stands_at_the_end_of_the_output(smoke):
    folder, process = smoke
    result = json.loads((folder / "result.json").read_text())
    assert f"{result['incremental_avg_top1']:.1f}" in process.stdout
    assert "incremental average" in process.stdout
    assert "classifier" in process.stdout
    assert "NME" in process.stdout
    assert "Traceback" not in process.stderr


def test_metrics_and_tensorboard_hold_the_same_curves(smoke):
    folder, _ = smoke
    epochs = records(folder, "epoch")
    assert [r["step"] for r in epochs] == [1, 2, 3, 4]
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    for tag in ("loss/total", "contrast/gap", "contrast/violation_rate", "contrast/margin", "train/top1", "test/top1"):
        points = [(e.step, pytest.approx(e.value, rel=1e-5)) for e in events.Scalars(tag)]
        assert points == [(r["step"], r[tag]) for r in epochs], tag
    assert [e.step for e in events.Scalars("distill/gap")] == [3, 4]
    assert [e.step for e in events.Scalars("task/top1")] == [1, 2]
    assert [e.step for e in events.Scalars("task/top1_task_01")] == [2]
    statistics = "pos_mean pos_std neg_mean neg_std violation_mean active_count v_p90 v_p95 hard_negative_similarity"
    for name in [*statistics.split(), "hard_gap", "hard_gap_min", "nce", "ant", "total", "ant_above_floor"]:
        assert f"contrast/{name}" in events.Tags()["scalars"]


def test_the_final_model_is_kept_and_reads_with_safe_defaults(smoke):
    folder, _ = smoke
    (path,) = (folder / "checkpoints").iterdir()
    assert path.name.startswith("final-")
    assert torch.load(path)["method"]["network"].keys() == read_checkpoint(path)["method"]["network"].keys()


def test_logging_and_display_do_not_change_the_weights(smoke, tmp_path):
    folder, _ = smoke
    process = train("debug=smoke", "tracking.tensorboard=false", "tracking.progress=false", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    other = only_folder(tmp_path / "outputs" / "smoke")
    assert not (other / "tensorboard").exists()
    ours, theirs = (read_checkpoint(next((f / "checkpoints").iterdir()))["method"]["network"] for f in (folder, other))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["loss=antt"], ["loss", "antt", "ant_adaptive"]),
        (["trainer.batch_size=many"], ["trainer.batch_size", "integer"]),
        (["+no_such=1"], ["no_such", "unknown"]),
        (["dataset=cifar100", "dataset.root=nowhere"], ["dataset.root", "nowhere", "cifar-100-python", "download"]),
        (["-m", "loss=ant", "ant_margin=0.1,-0.2"], ["ant_margin", "-0.2"]),
    ],
)
def test_a_wrong_configuration_is_one_line_and_leaves_nothing(arguments, words, tmp_path):
    process = train(*arguments, cwd=tmp_path)
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert all(word in line for word in words), line
    assert not process.stdout
    assert not list(tmp_path.iterdir())


def test_help_config_and_errors_need_no_torch(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('torch was imported')")
    for arguments, code in ((["--help"], 0), (["--cfg", "job"], 0), (["loss=antt"], 2)):
        environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{PROJECT}"}
        command = [sys.executable, "-m", "cil.train", *arguments]
        process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert process.returncode == code, process.stderr


def test_the_help_lists_the_groups_and_what_else_can_be_done(tmp_path):
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "mine.yaml").write_text("name: ant\n")
    process = train("--config-dir", str(tmp_path), "--help", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    for key in LAUNCH_KEYS:
        assert f"\n{key}=" in process.stdout
    _, _, listed = process.stdout.partition("== Groups: GROUP=OPTION ==\n")
    shown = dict(line.split(": ", 1) for line in listed.partition("\n\n")[0].splitlines())
    checker = OverrideChecker(make_loader(None))
    assert list(shown) == sorted(checker.groups)
    assert "mine" in shown.pop("loss").split(", ")
    for group, options in shown.items():
        assert options.split(", ") == sorted(option_docs(group))


def test_an_error_that_has_no_log_points_to_none(tmp_path):
    process = train("--cfg", "hydra", "--resolve", cwd=tmp_path)
    assert process.returncode == 1
    assert "train.log" not in process.stderr
    assert not list(tmp_path.iterdir())


def test_an_unexpected_error_points_to_its_log(tmp_path):
    fault = "import cil.engine.loop as l\ndef run(self): raise RuntimeError('out of luck')\nl.Trainer.run = run\n"
    code = f"{fault}import sys\nfrom cil import train\nsys.exit(train.main())"
    command = [sys.executable, "-c", code, "debug=smoke", "hydra.run.dir=here"]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 1
    log = tmp_path / "here" / "train.log"
    assert process.stderr.splitlines()[-1] == f"failed: RuntimeError: out of luck (more in {log})"
    assert "in run" in log.read_text()


def test_broken_data_is_one_line_and_leaves_no_folder(tmp_path):
    for split in ("train", "val"):
        for name in ("a", "b"):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            (tmp_path / "data" / split / name / "1.png").write_bytes(b"not an image")
    arguments = ["dataset=image_folder", f"dataset.root={tmp_path / 'data'}", "split.base=1", "split.increment=1"]
    process = train(*arguments, "debug=smoke", "memory.size=2", "dataset.num_workers=0", cwd=tmp_path)
    assert process.returncode == 1
    assert process.stderr.strip().count("\n") == 0, process.stderr
    assert "1.png" in process.stderr
    assert list((tmp_path / "outputs" / "smoke").iterdir()) == [], "nothing was trained"
    repeated = train("-m", *arguments, "debug=smoke", "memory.size=2", "dataset.num_workers=0", cwd=tmp_path)
    assert repeated.returncode == 1
    (written,) = (tmp_path / "outputs" / "sweeps" / "smoke").iterdir()
    (row,) = json.loads(written.read_text())["sweeps"][0]["jobs"]
    assert row["state"] == "failed"
    assert "1.png" in row["error"]


def test_two_runs_started_at_once_get_two_folders(tmp_path):
    command = [sys.executable, "-m", "cil.train", "debug=smoke", "trainer.max_tasks=1", "trainer.init_epochs=1"]
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    processes = [subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    assert len(list((tmp_path / "outputs" / "smoke").iterdir())) == 2


def test_hydra_run_dir_is_honoured(tmp_path):
    process = train("debug=smoke", "trainer.max_tasks=1", "hydra.run.dir=here/it is", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "here" / "it is" / "result.json").is_file()


def test_the_wheel_runs_from_an_empty_folder(tmp_path):
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "dist")]
    subprocess.run([*build, str(PROJECT)], check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").iterdir()
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    empty = tmp_path / "empty"
    empty.mkdir()
    code = "import cil, runpy; print(cil.__file__); runpy.run_module('cil.train', run_name='__main__')"
    command = [sys.executable, "-c", code, "debug=smoke", "trainer.max_tasks=1"]
    environment = os.environ | {"PYTHONPATH": str(site)}
    process = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    assert str(site) in process.stdout.splitlines()[0]
    assert only_folder(empty / "outputs" / "smoke").joinpath("result.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "place", "key"),
    [
        (["name=x"], "outputs/x/", "hydra.run.dir=DIR"),
        (["-m", "name=x", "seed=1,2"], "outputs/sweeps/x/", "hydra.sweep.dir=DIR or hydra.sweep.subdir=NAME"),
        (["hydra.run.dir=outputs"], "outputs: ", "hydra.run.dir=DIR"),
    ],
)
def test_a_file_where_a_folder_has_to_be_is_told_before_anything_starts(tmp_path, arguments, place, key):
    (tmp_path / "outputs").touch()
    process = train(*arguments, cwd=tmp_path)
    assert process.returncode == 2
    assert process.stderr.startswith(f"configuration error: {place}")
    expected = f"cannot be made, {tmp_path / 'outputs'} is no folder; choose another place with {key}\n"
    assert process.stderr.endswith(expected)
    assert train(*arguments, "dry_run=true", cwd=tmp_path).returncode == 0, "it makes no folder"
