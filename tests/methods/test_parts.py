"""A loss that is back-propagated in parts leads to the gradients and figures of the whole."""

import copy

import pytest
import torch

from cil.engine.loop import Trainer
from cil.methods.base import Method, StepOutput, Term
from cil.methods.tagfex import TagFex
from tests.engine.test_loop import assert_equal_weights, make_trainer, train, untimed
from tests.methods.test_tagfex import batch, begin, tagfex, train_steps


def gradients(method) -> dict[str, torch.Tensor]:
    return {name: p.grad for name, p in method.network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("sizes", [(3,), (2, 2), (2, 2, 2)])
def test_gradients_and_figures_are_those_of_the_whole_bit_for_bit(sizes):
    whole = tagfex()
    for size in sizes:
        begin(whole, size)
        train_steps(whole)
    other = copy.deepcopy(whole)
    views, targets = batch(7, classes=sum(sizes))
    for method in (whole, other):
        method.network.zero_grad()
    expected = whole.loss(whole.network(views), targets)
    expected.total.backward()
    parts = []
    for part in other.parts(views, targets):
        part.total.backward()
        parts.append(part)
    assert len(parts) == 2
    found = StepOutput.joined(parts, other.loss_weights())
    assert list(found.weighted) == list(expected.weighted)
    assert torch.equal(found.total, expected.total)
    assert found.stats.keys() == expected.stats.keys()
    assert torch.equal(found.correct, expected.correct)
    assert gradients(other).keys() == gradients(whole).keys()
    different = [name for name, g in gradients(whole).items() if not torch.equal(gradients(other)[name], g)]
    assert not different
    for (name, ours), theirs in zip(other.network.named_buffers(), whole.network.buffers(), strict=True):
        assert torch.equal(ours, theirs), name


FP16 = pytest.param(("trainer.precision=fp16",), marks=pytest.mark.faults)  # slow where there is no GPU


def as_a_whole(monkeypatch) -> None:
    monkeypatch.setattr(TagFex, "parts", Method.parts)


@pytest.mark.parametrize("settings", [(), FP16, ("method.contrast_weight=0",)], ids=str)
def test_a_run_is_the_same_run(monkeypatch, settings):
    in_parts = train(*settings)
    as_a_whole(monkeypatch)
    whole = train(*settings)
    assert_equal_weights(in_parts, whole)
    assert list(map(untimed, in_parts.observer.epochs)) == list(map(untimed, whole.observer.epochs))


def test_the_first_graph_is_gone_before_the_second_is_made():
    """What the task-agnostic net has saved for its backward pass is freed by it."""
    method = begin(tagfex(), 2, 2)
    views, targets = batch(6)
    coming = method.parts(views, targets)
    first = next(coming)
    first.total.backward()
    with pytest.raises(RuntimeError, match="second time"):
        first.total.backward()
    second = next(coming)
    shared = {id(p) for p in method.network.ta_net.parameters()}
    wanted = [p for p in method.network.parameters() if p.requires_grad and id(p) in shared]
    assert not any(g is not None for g in torch.autograd.grad(second.total, wanted, allow_unused=True))


def test_a_loss_of_ones_own_is_not_passed_over():
    class Own(TagFex):
        def loss(self, outputs, targets):
            return StepOutput({"cls": Term(1.0, outputs.logits.sum())})

    class InParts(Own):
        def parts(self, views, targets):
            yield self.loss(self.network(views), targets)

    assert Own.parts is Method.parts
    assert InParts.parts is not Method.parts
    assert TagFex.parts is not Method.parts


def test_the_trainer_takes_the_parts(monkeypatch):
    seen = []
    parts = TagFex.parts
    monkeypatch.setattr(TagFex, "parts", lambda self, *batch: seen.append(1) or parts(self, *batch))
    trainer: Trainer = make_trainer("trainer.max_tasks=1", "trainer.init_epochs=1")
    trainer.run()
    assert len(seen) == len(trainer.observer.steps)
