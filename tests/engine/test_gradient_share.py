"""Gradient share: the right numbers, and no trace of having looked."""

import math

import pytest
import torch

from cil.data.views import EpochKey
from cil.engine.gradient_share import gradient_share
from tests.engine.test_loop import assert_equal_weights, make_trainer, train, untimed

ON = "tracking.gradient_share_every=1"


def without_shares(record):
    return {key: value for key, value in untimed(record).items() if not key.startswith("grad/")}


def test_looking_changes_nothing():
    off, on = train("loss=ant_gap"), train("loss=ant_gap", ON)
    assert_equal_weights(off, on)
    assert [untimed(r) for r in off.observer.epochs] == [without_shares(r) for r in on.observer.epochs]
    assert not any(key.startswith("grad/") for r in off.observer.epochs for key in r)
    assert all("grad/ant" in r for r in on.observer.epochs)


def test_it_looks_every_so_many_epochs_of_a_task_from_the_first_one_and_in_the_last():
    epochs = train("tracking.gradient_share_every=2").observer.epochs
    assert [r["epoch"] for r in epochs if "grad/nce" in r] == [1, 3, 1, 2, 1, 2]


def batch_of(trainer):
    """A trainer in the middle of task 2, and a batch."""
    task = trainer.tasks[1]
    trainer.begin_task(task)
    trainer.method.begin_epoch(0, 2)
    trainer.method.network.train()
    indices, targets = trainer.training_set.images(task)
    return next(iter(trainer.data.loader.train_batches(indices, targets, 16, EpochKey(0, 2, 0))))


@pytest.fixture
def look():
    """Trainer after task 1, a batch of task 2, and its gradient share."""
    trainer = train("loss=ant_gap", "loss.gap_target=1.5", "trainer.max_tasks=1")
    trainer.tasks = trainer.data.stream.tasks[:2]
    batch = batch_of(trainer)
    return trainer, batch, gradient_share(trainer.method, batch.views, batch.targets, trainer.stepper.autocast)


def test_norms_and_cosines_are_those_of_separate_backward_passes(look):
    trainer, batch, figures = look
    network, gradients = trainer.method.network, {}
    for name in ("nce", "ant", "gap", "distill"):
        network.zero_grad()
        weight, term = trainer.method.loss(network(batch.views), batch.targets).parts[name]
        (weight * term).backward()
        gradients[name] = torch.cat([p.grad.flatten() for p in network.ta_net.parameters()]).double()
    norms = {name: gradient.norm().item() for name, gradient in gradients.items()}
    for name, norm in norms.items():
        assert norm > 0
        assert figures[f"grad/{name}"] == pytest.approx(norm, rel=1e-5)
        assert figures[f"grad/share_{name}"] == pytest.approx(norm / sum(norms.values()), rel=1e-5)
    cosine = torch.dot(gradients["nce"], gradients["ant"]).item() / (norms["nce"] * norms["ant"])
    assert figures["grad/cos_nce_ant"] == pytest.approx(cosine, abs=1e-5)


def test_terms_that_do_not_reach_the_shared_net_have_no_share(look):
    figures = look[2]
    for name in ("cls", "aux", "trans_cls", "transfer"):
        assert figures[f"grad/{name}"] == figures[f"grad/share_{name}"] == 0
    assert not any("cls" in key for key in figures if key.startswith("grad/cos_"))
    shares = [value for key, value in figures.items() if key.startswith("grad/share_")]
    assert sum(shares) == pytest.approx(1)
    assert all(math.isfinite(value) for value in figures.values())


def test_the_parts_are_the_whole_loss(look):
    trainer, batch, _ = look
    output = trainer.method.loss(trainer.method.network(batch.views), batch.targets)
    total = sum(weight * part.item() for weight, part in output.parts.values())
    assert total == pytest.approx(output.total.item(), rel=1e-6)
    assert set(output.parts) == {"nce", "ant", "gap", "cls", "aux", "distill", "trans_cls", "transfer"}


def test_buffers_and_gradients_stay(look):
    trainer, batch, _ = look
    network = trainer.method.network
    buffers = [b.clone() for b in network.buffers()]
    for p in network.parameters():
        p.grad = torch.ones_like(p)
    state = torch.random.get_rng_state()
    gradient_share(trainer.method, batch.views, batch.targets, trainer.stepper.autocast, scale=1024.0)
    assert all(torch.equal(a, b) for a, b in zip(buffers, network.buffers(), strict=True))
    assert all(bool((p.grad == 1).all()) for p in network.parameters())
    assert torch.equal(state, torch.random.get_rng_state())


def test_the_scale_cancels(look):
    trainer, batch, figures = look
    scaled = gradient_share(trainer.method, batch.views, batch.targets, trainer.stepper.autocast, scale=1024.0)
    assert scaled == pytest.approx(figures, rel=1e-5, abs=1e-9)


def test_a_loss_without_any_gradient_has_no_shares():
    trainer = make_trainer("method.contrast_weight=0")
    trainer.begin_task(trainer.tasks[0])
    indices, targets = trainer.training_set.images(trainer.tasks[0])
    batch = next(iter(trainer.data.loader.train_batches(indices, targets, 8, EpochKey(0, 1, 0))))
    figures = gradient_share(trainer.method, batch.views, batch.targets, trainer.stepper.autocast)
    assert figures == {"grad/cls": 0.0, "grad/share_cls": None}
