"""Looking at the mechanism: the right numbers, and no trace of having looked."""

import pytest
import torch

from cil.engine.mechanism import mechanism
from tests.engine.test_gradient_share import batch_of
from tests.engine.test_loop import assert_equal_weights, train, untimed

ON = "tracking.mechanism_every=1"


def without(record):
    return {key: value for key, value in untimed(record).items() if not key.startswith("mechanism/")}


def test_looking_changes_nothing():
    off, on = train("loss=ant"), train("loss=ant", ON)

    assert_equal_weights(off, on)
    assert [untimed(r) for r in off.observer.epochs] == [without(r) for r in on.observer.epochs]
    assert not any(key.startswith("mechanism/") for r in off.observer.epochs for key in r)


@pytest.mark.parametrize("loss", ["infonce", "ant"])
def test_every_loss_is_looked_at_with_the_same_operators_from_task_2_on_in_both_branches(loss: str):
    epochs = train(f"loss={loss}", "tracking.mechanism_every=2").observer.epochs

    looked = [r for r in epochs if any(key.startswith("mechanism/") for key in r)]
    assert [r["epoch"] for r in looked] == [1, 3, 1, 2, 1, 2]
    for record in looked:
        branches = {key.split("/")[1] for key in record if key.startswith("mechanism/")}
        assert branches == ({"contrast"} if record["task"] == 1 else {"contrast", "distill"})
        assert 0 < record["mechanism/contrast/all_global/active_share"] < 1
        assert ("mechanism/contrast/ant_over_nce/ta_net" in record) == (loss == "ant")


def test_gradients_by_network_are_those_of_separate_backward_passes():
    trainer = train("loss=ant", "trainer.max_tasks=1")
    trainer.tasks = trainer.data.stream.tasks[:2]
    batch = batch_of(trainer)
    method = trainer.method

    figures = mechanism(method, batch.views, batch.targets, trainer.stepper.autocast)

    gradients = {}
    for term in ("nce", "ant"):
        method.network.zero_grad()
        loss, margin = method.contrast()
        anchors, columns, _ = method.compared(method.network(batch.views))["distill"]
        loss(anchors, columns, margin, batch.targets).parts[term].backward()
        for name, network in method.contrast_networks().items():
            present = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
            gradients[term, name] = torch.cat(present).double() if present else None
    for name in ("ta_net", "predictor"):
        nce, ant = gradients["nce", name], gradients["ant", name]
        assert figures[f"mechanism/distill/ant_over_nce/{name}"] == pytest.approx((ant.norm() / nce.norm()).item())
        cosine = torch.dot(nce, ant) / (nce.norm() * ant.norm())
        assert figures[f"mechanism/distill/cosine/{name}"] == pytest.approx(cosine.item(), abs=1e-5)
    assert gradients["nce", "projector"] is None  # the teacher's projector is used there
    assert "mechanism/distill/cosine/projector" not in figures
    assert "mechanism/contrast/cosine/predictor" not in figures


def test_a_method_without_contrastive_loss_has_no_figures():
    assert not any(key.startswith("mechanism/") for r in train("method=finetune", ON).observer.epochs for key in r)
