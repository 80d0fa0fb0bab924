"""The rooms of the house: imports point down, no circles (pyproject.toml, [tool.importlinter])."""

import re
from pathlib import Path

from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]


def test_imports_point_down_and_never_in_a_circle(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    code = lint_imports(str(ROOT / "pyproject.toml"), no_cache=True)
    assert code == 0, capsys.readouterr().out


def test_only_the_adapter_uses_what_hydra_may_change():
    internal = re.compile(r"hydra\._internal(?!`)")
    users = [str(p.relative_to(ROOT)) for p in sorted((ROOT / "cil").rglob("*.py")) if internal.search(p.read_text())]
    assert users == ["cil/planning/hydra_adapter.py"]
