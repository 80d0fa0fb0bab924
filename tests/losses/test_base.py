import subprocess
import sys
from itertools import product
from statistics import mean

import pytest
import torch

from cil.config.schema import LossConfig
from cil.errors import ConfigError
from cil.losses import available_losses
from cil.losses.ant import Ant
from cil.losses.base import ContrastiveLoss, make_loss
from cil.losses.infonce import InfoNCE
from cil.losses.settings import LossSettings
from tests.losses.batches import batch
from tests.losses.naive import cosines


def test_losses_are_found_by_name():
    assert available_losses() == ["ant", "infonce"]
    assert isinstance(make_loss(LossConfig(name="ant")).formula, Ant)
    assert isinstance(make_loss(LossConfig(name="infonce")).formula, InfoNCE)


@pytest.mark.parametrize("name", ["nce", "base", "statistics", "../ant", ""])
def test_other_names_are_refused_with_the_valid_ones(name):
    with pytest.raises(ConfigError, match=r"loss\.name.*valid: ant, infonce"):
        make_loss(LossConfig(name=name))


SAME_CLASS = """
from cil.losses.statistics import Terms

def build(cfg):
    return formula

def formula(compared):
    rows = compared.labels.repeat(2)
    same = rows[:, None] == rows
    apart, together = compared.similarity[~same].mean(), compared.similarity[same].mean()
    return Terms({"apart": 2 * apart, "together": -together})
"""


def test_a_new_module_with_build_and_a_formula_is_enough(tmp_path, monkeypatch):
    """The loss is the sum of its parts, labels arrive, and everything is measured that is measured for ant."""
    (tmp_path / "same_class.py").write_text(SAME_CLASS)
    monkeypatch.setattr("cil.losses.__file__", str(tmp_path / "__init__.py"))
    monkeypatch.setattr("cil.losses.__path__", [str(tmp_path)])
    anchors, columns = batch(4)
    labels = torch.tensor([3, 0, 3, 1])
    output = make_loss(LossConfig(name="same_class"))(anchors, columns, 0.3, labels)
    monkeypatch.delitem(sys.modules, "cil.losses.same_class")
    sims, classes = cosines(anchors, columns), [3, 0, 3, 1] * 2
    apart = mean(sims[i][j] for i, j in product(range(8), range(8)) if classes[i] != classes[j])
    together = mean(sims[i][j] for i, j in product(range(8), range(8)) if classes[i] == classes[j])
    assert float(output.parts["apart"].detach()) == pytest.approx(2 * apart)
    assert float(output.loss.detach()) == pytest.approx(2 * apart - together)
    output.loss.backward()
    assert anchors.grad is not None and anchors.grad.abs().max() > 1e-3
    settings = LossSettings.of(LossConfig())
    wanted = ContrastiveLoss(Ant(settings), settings)(anchors, columns, 0.3, labels)
    assert output.stats.keys() == wanted.stats.keys()
    for name in output.stats.keys() - {"total"}:
        assert torch.equal(output.stats[name].value, wanted.stats[name].value), name
    assert float(output.stats["total"].value) == float(output.loss.detach())


@pytest.mark.parametrize("name", ["ant", "infonce"])
def test_labels_are_counted_and_change_nothing(name):
    anchors, columns = batch(4)
    loss = make_loss(LossConfig(name=name))
    plain, labelled = loss(anchors, columns, 0.3), loss(anchors, columns, 0.3, torch.tensor([1, 1, 0, 2]))
    assert torch.equal(plain.loss, labelled.loss)
    assert all(torch.equal(stat.value, labelled.stats[key].value) for key, stat in plain.stats.items())


@pytest.mark.parametrize("shape", [(8,), (3,), (4, 1)])
def test_labels_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="expected one label for each of 4 images"):
        make_loss(LossConfig())(*batch(4), 0.3, torch.zeros(shape, dtype=torch.int64))


def test_margins_and_names_need_no_torch():
    code = "import sys, cil.losses.margins, cil.losses; print(cil.losses.available_losses(), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "infonce" in done.stdout and done.stdout.split()[-1] == "False"
