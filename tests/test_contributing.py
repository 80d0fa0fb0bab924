"""The method that CONTRIBUTING.md walks through is written as it says, in a copy of the project, and works."""

import re
import shutil
import subprocess
import sys
import textwrap

from cil.records.states import State, look
from tests.commands import PROJECT, run

TINY = ["trainer.init_epochs=1", "trainer.inc_epochs=1", "trainer.max_tasks=2", "dataset.max_train_per_class=10"]


def test_a_new_method_is_three_files(tmp_path):
    for folder in ("cil", "conf", "tests"):
        shutil.copytree(PROJECT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "compat"))
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    text = (PROJECT / "CONTRIBUTING.md").read_text().split("## A method")[1].split("## A data set")[0]
    files = re.findall(r"`((?:cil|conf|tests)/\S+smoothed\.\w+)`.*?```\w+\n(.*?)```", text, flags=re.DOTALL)
    assert len(files) == 3
    for name, block in files:
        (tmp_path / name).write_text(textwrap.dedent(block.rstrip(" ")))
    code = textwrap.dedent(files[0][1])
    assert len(code.splitlines()) < 80
    lint = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--config",
        str(PROJECT / "pyproject.toml"),
        *(n for n, _ in files[::2]),
    ]
    assert subprocess.run(lint, cwd=tmp_path, check=False).returncode == 0
    environment = {"PYTHONPATH": str(tmp_path)}
    test = run("pytest", "-q", files[2][0], cwd=tmp_path, env=environment)
    assert "1 passed" in test.stdout, test.stdout
    arguments = ["method=smoothed", "memory.size=20", "hydra.run.dir=run", "loss.temperature=2", *TINY]
    trained = run("cil.train", *arguments, cwd=tmp_path, env=environment)
    assert trained.returncode == 0, trained.stderr
    assert "loss.temperature: has no effect with method=smoothed" in trained.stderr + trained.stdout
    assert look(tmp_path / "run").state is State.finished
