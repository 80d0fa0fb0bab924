import pytest
import torch

from cil.config.schema import Formulation, LossConfig
from cil.losses.formulations import PENALTIES
from cil.losses.settings import LossSettings
from tests.losses.naive import penalty


def test_every_formulation_of_the_schema_exists():
    assert set(PENALTIES) == set(Formulation)


@pytest.mark.parametrize("formulation", Formulation)
@pytest.mark.parametrize("margin", [0.0, 0.3, 2.5, 6.0])
@pytest.mark.parametrize("masked", [False, True])
def test_equals_the_plain_loop(formulation, margin, masked):
    stream = torch.Generator().manual_seed(5)
    violations = margin - 2 * torch.rand(2, 6, 9, generator=stream, dtype=torch.float64)
    kept = torch.rand(2, 6, 9, generator=stream) < 0.4 if masked else None
    if kept is not None:
        kept[0, 0] = False
    settings = LossSettings.of(LossConfig(formulation=formulation, topk=4))
    got = PENALTIES[formulation](violations, kept, margin, settings)
    mask = torch.ones_like(violations, dtype=torch.bool) if kept is None else kept
    wanted = [penalty(violations[g, a][mask[g, a]].tolist(), settings) for g in range(2) for a in range(6)]
    assert got.flatten().tolist() == pytest.approx(wanted, abs=1e-10)


def test_expm1_keeps_its_precision_where_little_is_active():
    violations = torch.full((1, 1, 500), -0.5)
    violations[0, 0, 0] = 1e-4
    got = PENALTIES[Formulation.expm1](violations, None, 1e-4, LossSettings.of(LossConfig()))
    assert float(got) == pytest.approx(1e-4, abs=2e-7)
