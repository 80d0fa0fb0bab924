"""What docs/tutorial.md tells a newcomer to type."""

import re
import shlex
from pathlib import Path

import matplotlib
import pytest

import cil
from cil.planning.plan import plan
from tests.commands import PROJECT

TEXT = (PROJECT / "docs" / "tutorial.md").read_text()
TINY = {"trainer.max_tasks": 2, "trainer.init_epochs": 1, "trainer.inc_epochs": 1, "dataset.max_train_per_class": 10}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


def commands() -> list[str]:
    """All `python -m cil.train` of the page, also those within a sentence, but not the one that it shows as wrong."""
    prose = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
    return re.findall(r"(?<=python -m cil\.train )[^\n`]+", "\n".join([*blocks("sh"), prose]))


@pytest.mark.parametrize("command", commands())
def test_commands_are_valid(command: str):
    assert plan(shlex.split(command)).jobs


def test_the_sweep_has_nine_trainings():
    command = next(command for command in commands() if "name=margins" in command)

    assert len(plan(shlex.split(command)).jobs) == 9


def test_the_python_blocks_run_and_draw_the_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    cil.train(folder="outputs/demo/run", **TINY)
    for loss in ("infonce", "ant"):
        cil.train(f"loss={loss}", seed=1, folder=f"outputs/sweeps/margins/{loss}", **TINY)
    matplotlib.use("Agg")

    names: dict = {}
    for block in blocks("python"):
        exec(compile(block, "tutorial.md", "exec"), names)

    drawn = {path.name for path in tmp_path.glob("*.png")}
    assert drawn == {"confusion.png", "curves.png"} and all(f"(pictures/{name})" in TEXT for name in drawn)
    assert [line.get_label() for line in names["left"].lines] == ["ANT, margin 0.1", "InfoNCE"]
    matplotlib.pyplot.close("all")
