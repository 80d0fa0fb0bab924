"""The console scripts: where they lead, and the completion that the shell asks them for."""

import importlib
import os
import subprocess
import sys
import tomllib

import pytest

from tests.commands import PROJECT

SCRIPTS = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["scripts"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the scripts as pip writes them."""
    folder = tmp_path_factory.mktemp("bin")
    for name, place in SCRIPTS.items():
        module, function = place.split(":")
        text = f"#!{sys.executable}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n"
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def call(installed, *command, **variables):
    path = f"{installed}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "PATH": path} | variables
    return subprocess.run(command, env=environment, cwd=installed, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_leads_to_a_function_without_arguments(name):
    module, function = SCRIPTS[name].split(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_scripts_answer_like_the_modules(installed):
    assert call(installed, "cil-train", "epochs=3").returncode == 2
    assert call(installed, "cil-report", "nowhere").returncode == 2
    checked = call(installed, "cil-data", "check", "digits")
    assert (checked.returncode, checked.stdout.splitlines()[-1]) == (0, "digits: 1797 images, none broken")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("cil-train loss=inf", ["loss=infonce"]),
        ("cil-train -m seed=1,2 loss=ant_h", ["loss=ant_hard"]),
        ("cil-train trainer.init", ["trainer.init_epochs="]),
        ("cil-train data", ["dataset.", "dataset="]),
    ],
)
def test_what_the_shell_is_offered(installed, line, expected):
    asked = call(installed, "cil-train", "-sc", "query=bash", COMP_LINE=line, COMP_POINT=str(len(line)))
    assert (asked.stdout.split(), asked.stderr) == (expected, "")


def test_bash_completes_the_script_once_it_is_told_to(installed):
    script = """
eval "$(cil-train -sc install=bash)"
COMP_LINE="cil-train loss="; COMP_POINT=15; COMP_WORDS=(cil-train loss=); COMP_CWORD=1
hydra_bash_completion; echo "${COMPREPLY[@]}"
"""
    asked = call(installed, "bash", "-c", script)
    assert asked.stdout.split() == [
        f"loss={name}" for name in sorted(path.stem for path in (PROJECT / "conf/loss").glob("*.yaml"))
    ]
