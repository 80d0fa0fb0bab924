"""On CUDA: no waiting, deterministic kernels, the same values as on the CPU."""

from dataclasses import replace

import pytest
import torch

from cil.config.schema import Formulation, LossConfig, Negatives
from cil.losses.base import LossOutput, make_loss
from cil.losses.selection import order_statistics_by_topk
from tests.losses.batches import EVERY_FORM, batch


def assert_same(got: LossOutput, wanted: LossOutput) -> None:
    assert got.stats.keys() == wanted.stats.keys()
    for name, stat in wanted.stats.items():
        assert float(got.stats[name].value) == pytest.approx(float(stat.value), abs=1e-9), name


@pytest.mark.cuda
@pytest.mark.parametrize("ratio", [None, 0.3])
def test_cuda_neither_waits_nor_differs(ratio):
    for negatives, reference, formulation in EVERY_FORM:
        form = {"negatives": negatives, "reference": reference, "formulation": formulation}
        loss = make_loss(replace(LossConfig(gap_beta=0.5, hard_negative_ratio=ratio), **form))
        near, far = batch(40)
        wanted = loss(near, far, 0.3)
        wanted.loss.backward()
        anchors, columns = (side.detach().cuda().requires_grad_() for side in (near, far))
        loss(anchors, columns, 0.3).loss.backward()  # the first call may wait while libraries start
        anchors.grad = None
        torch.use_deterministic_algorithms(True)
        torch.cuda.set_sync_debug_mode("error")
        try:
            output = loss(anchors, columns, 0.3)
            output.loss.backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")
            torch.use_deterministic_algorithms(False)
        assert anchors.grad is not None
        assert near.grad is not None
        assert torch.allclose(anchors.grad.cpu(), near.grad, atol=1e-9)
        assert_same(output, wanted)


@pytest.mark.parametrize("negatives", Negatives)
def test_selection_by_torch_alone_gives_what_numpy_gives(negatives, monkeypatch):
    """The path of other devices, on the CPU."""
    cfg = LossConfig(negatives=negatives, formulation=Formulation.topk, topk=3, hard_negative_ratio=0.5)
    wanted = make_loss(cfg)(*batch(6), 0.3)
    monkeypatch.setattr("cil.losses.selection.order_statistics", order_statistics_by_topk)
    assert_same(make_loss(cfg)(*batch(6), 0.3), wanted)
