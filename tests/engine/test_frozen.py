"""`trainer.frozen`: folded copies in training steps, for every method with frozen networks, and nowhere else."""

import pytest
import torch

from cil.config.methods import available_methods
from cil.config.schema import FrozenForm
from cil.engine.model_size import model_size
from cil.methods import make_method
from cil.methods.lwf import LwF
from cil.models.folding import FrozenForward
from cil.planning.plan import plan
from tests.engine.test_loop import assert_equal_weights, make_trainer, untimed, weights
from tests.engine.test_resume import assert_continues_at
from tests.methods.networks import batch, begun, config

FREEZING = [name for name in available_methods() if name not in ("finetune", "replay", "joint")]
FOLDED = "trainer.frozen=folded"


def in_last_phase(name: str):
    """A method in the last phase of task 3 that uses a frozen network: of BiC the first."""
    method = begun(name, 2, 2, 2)
    if name == "foster":
        method.begin_phase(1)
    method.count_images([5] * 6)
    for module in method.network.modules():  # statistics unlike those of fresh batch-norm
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.fill_(0.2)
            module.running_var.fill_(1.7)
    method.network.train()
    method.begin_epoch(0, 1)
    return method


def one_step(method, form: FrozenForm):
    """Total loss and gradients of a batch."""
    method.network.run_frozen = FrozenForward(form)
    images, targets = batch(6 * method.views, 4 if isinstance(method, LwF) else 0, 6)
    method.network.zero_grad()
    kept = {name: buffer.clone() for name, buffer in method.network.named_buffers()}
    output = method.loss(method.network(images), targets[:6])
    output.total.backward()
    method.network.load_state_dict(method.network.state_dict() | kept)
    return output.total.detach(), {name: p.grad for name, p in method.network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", FREEZING)
def test_a_step_is_the_same_but_for_rounding(name):
    method = in_last_phase(name)
    exact, gradients = one_step(method, FrozenForm.exact)
    for form, least, most in ((FrozenForm.folded, 0.0, 1e-5), (FrozenForm.folded_bf16, 1e-9, 0.05)):
        loss, found = one_step(method, form)
        assert method.network.run_frozen._prepared
        torch.testing.assert_close(loss, exact, rtol=most, atol=most)
        assert found.keys() == gradients.keys()
        distance = sum((found[key] - gradients[key]).square().sum() for key in found).sqrt()
        assert least <= distance <= 20 * most * sum(g.square().sum() for g in gradients.values()).sqrt()


@pytest.mark.parametrize("name", FREEZING)
def test_prediction_and_size_know_no_copies(name):
    method = in_last_phase(name)
    images, _ = batch(4, 0, 6)

    def predicted():
        method.network.eval()
        with torch.no_grad():
            found = method.predict(images)
        method.network.train()
        return [*found.scores.values(), found.features]

    before, size, names = predicted(), model_size(method), list(method.network.state_dict())
    one_step(method, FrozenForm.folded)
    copies = len(method.network.run_frozen._prepared)
    assert copies == {"tagfex": 3, "der": 2, "memo": 2, "foster": 2}.get(name, 1)
    assert all(torch.equal(a, b) for a, b in zip(predicted(), before, strict=True))
    assert (model_size(method), list(method.network.state_dict())) == (size, names)
    assert len(method.network.run_frozen._prepared) == copies


@pytest.mark.parametrize("name", FREEZING)
def test_continued_exactly(name):
    assert_continues_at(f"method={name}", "memory.size=40", FOLDED, points=[("step", 21), ("task", 2)])


def test_the_first_task_is_untouched_and_the_others_are_trained_with_it():
    """TagFex over three tasks: what a copy rounds otherwise shows from task 2 on, and only as rounding does."""
    exact, other = make_trainer(), make_trainer(FOLDED)
    exact.run()
    other.run()
    first = exact.config.trainer.init_epochs
    pairs = list(zip(map(untimed, exact.observer.epochs), map(untimed, other.observer.epochs), strict=True))
    assert all(a == b for a, b in pairs[:first])
    assert any(a != b for a, b in pairs[first:])
    assert abs(pairs[first][0]["loss/total"] - pairs[first][1]["loss/total"]) < 1e-4
    with pytest.raises(AssertionError):
        assert_equal_weights(exact, other)
    assert weights(exact).keys() == weights(other).keys()


def test_copies_of_a_teacher_that_is_gone_are_gone():
    trainer = make_trainer("method=lwf", FOLDED)
    trainer.run()
    assert len(trainer.method.network.run_frozen._prepared) == 1


def test_a_key_of_the_identity_that_methods_without_frozen_networks_do_not_have():
    ids = {form: plan([f"trainer.frozen={form}"]).jobs[0].run_id for form in ("exact", "folded", "folded_bf16")}
    assert len(set(ids.values())) == 3
    assert ids["exact"] == plan([]).jobs[0].run_id
    both = plan(["-m", "method=finetune", "trainer.frozen=exact,folded"])
    assert len(both.jobs) == 1
    assert both.jobs[0].config.trainer.frozen is FrozenForm.exact


def test_the_configuration_reaches_every_network():
    for name in FREEZING:
        settings = config(name)
        settings.trainer.frozen = FrozenForm.folded
        assert make_method(settings).network.run_frozen.form is FrozenForm.folded, name


@pytest.mark.parametrize("setting", ["trainer.channels_last=true", "trainer.cuda_graph_frozen=true"])
def test_other_forms_of_the_step_continue_exactly(setting):
    assert_continues_at(setting, points=[("step", 14)])
