"""The command: its errors are one line each, before torch is loaded; what it writes and shows."""

import json
import subprocess
import sys

import pytest

from cil.bench.cli import main
from cil.bench.options import parse_options
from tests.commands import PROJECT

TINY = ("dataset.max_train_per_class=12", "dataset.max_test_per_class=8", "trainer.batch_size=8")
CODE = """
import sys
from cil.bench.cli import main
code = main(sys.argv[1:])
print(code, "torch" in sys.modules)
"""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["loss=antt"], "loss: no option 'antt'; did you mean ant?"),
        (["epochs"], "epochs: is not KEY=VALUE; usage: python -m cil.bench"),
        (["--tasks", "0"], "--tasks: '0' is not valid; expected 1 or greater"),
        (["--steps", "x"], "--steps: 'x' is not valid"),
        (["--only", "step,speed"], "--only: 'speed' is unknown; valid: step, augment, loss"),
        (["--out", "no/where/bench.json"], "is not a folder"),
        (["--fast"], "unrecognized arguments: --fast; usage"),
        (["seed=1,2"], "seed"),
        (["dataset=cifar100", "dataset.root=/does/not/exist"], "dataset.root"),
        (["-m", "seed=1,2"], "unrecognized arguments: -m"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_an_error_is_one_line_without_torch(words, message, tmp_path):
    command = [sys.executable, "-c", CODE, *words]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["2", "False"]
    assert done.stderr.startswith("configuration error: ")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_help_needs_nothing(capsys):
    assert main(["--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: python -m cil.bench")


def test_tasks_that_the_split_does_not_have(tmp_path, capsys):
    assert main(["--tasks", "6,7", "--out", str(tmp_path / "bench.json"), *TINY]) == 2
    assert capsys.readouterr().err == "configuration error: --tasks: the run has none of 6, 7; valid: 1 to 5\n"


def test_a_data_set_of_unknown_size_needs_its_images(tmp_path, capsys):
    words = ["dataset=image_folder", "split=joint", "dataset.classes=3", "memory.size=0", "class_order=natural"]
    assert main([*words, "--out", str(tmp_path / "bench.json")]) == 2
    assert "dataset.root: the size of image_folder is not known" in capsys.readouterr().err


def test_settings_and_options_may_be_mixed():
    options = parse_options(["loss=ant", "--tasks", "5,1", "seed=2", "--only", "loss,step"])
    assert (options.words, options.tasks, options.only) == (["loss=ant", "seed=2"], (1, 5), ("step", "loss"))


def test_what_is_written_is_what_is_shown(tmp_path, capsys):
    out = tmp_path / "bench.json"
    assert (
        main([*TINY, "--tasks", "1,2", "--only", "step,herding", "--rounds", "1", "--steps", "1", "--out", str(out)])
        == 0
    )
    record = json.loads(out.read_text())
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[2:6]] == [
        ["step", "1"],
        ["step", "2"],
        ["herding", "1"],
        ["herding", "2"],
    ]
    assert f"{record['hours']['total']:.3g}" in lines[-2]
    assert [path.name for path in tmp_path.iterdir()] == ["bench.json"]
