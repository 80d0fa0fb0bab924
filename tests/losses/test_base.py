import subprocess
import sys

import pytest

from cil.config.schema import LossConfig
from cil.errors import ConfigError
from cil.losses import available_losses
from cil.losses.ant import Ant
from cil.losses.base import make_loss
from cil.losses.infonce import InfoNCE


def test_losses_are_found_by_name():
    assert available_losses() == ["ant", "infonce"]
    assert isinstance(make_loss(LossConfig(name="ant")), Ant)
    assert isinstance(make_loss(LossConfig(name="infonce")), InfoNCE)


@pytest.mark.parametrize("name", ["nce", "base", "statistics", "../ant", ""])
def test_other_names_are_refused_with_the_valid_ones(name):
    with pytest.raises(ConfigError, match=r"loss\.name.*valid: ant, infonce"):
        make_loss(LossConfig(name=name))


def test_a_new_module_with_build_is_enough(tmp_path, monkeypatch):
    (tmp_path / "constant.py").write_text("def build(cfg):\n    return lambda *_: cfg.name\n")
    monkeypatch.setattr("cil.losses.__file__", str(tmp_path / "__init__.py"))
    monkeypatch.setattr("cil.losses.__path__", [str(tmp_path)])
    assert make_loss(LossConfig(name="constant"))(None, None, 0.0) == "constant"  # type: ignore[arg-type, comparison-overlap]
    monkeypatch.delitem(sys.modules, "cil.losses.constant")


def test_margins_and_names_need_no_torch():
    code = "import sys, cil.losses.margins, cil.losses; print(cil.losses.available_losses(), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "infonce" in done.stdout and done.stdout.split()[-1] == "False"
