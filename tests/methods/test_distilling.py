"""lwf, icarl and wa: each by its defining equation, and as the loop runs it."""

import pytest
import torch

from cil.config.schema import IcarlLoss
from cil.methods.wa import WA
from tests.engine.test_loop import assert_equal_weights, train, weights
from tests.methods.networks import batch, begun, copied, cross_entropy, moved, soft_cross_entropy, step, tasks


def taught(method, images):
    """Outputs [B, C], and what the network before the task says of the same images [B, K]."""
    outputs = method.network(images)
    with torch.no_grad():
        teacher = method.network.teacher.eval()(images).logits
    torch.testing.assert_close(outputs.teacher_logits, teacher)
    return outputs, teacher


def distilled(logits, teacher, temperature=2.0):
    known = teacher.shape[1]
    return soft_cross_entropy(logits[:, :known] / temperature, torch.softmax(teacher / temperature, 1))


@pytest.mark.parametrize(
    ("name", "weights"), [("lwf", (1.0, 3.0)), ("icarl", (1.0, 1.0)), ("wa", (0.4, 0.6)), ("bic", (0.4, 0.6))]
)
def test_the_defining_equation(name, weights):
    method = begun(name, 3, 2)
    images, targets = batch(6, 3 if name == "lwf" else 0, 5)
    outputs, teacher = taught(method, images)
    first = 3 if name == "lwf" else 0
    cls = cross_entropy(outputs.logits[:, first:], targets - first)
    output = method.loss(outputs, targets)
    torch.testing.assert_close(output.terms, {"cls": cls.detach(), "kd": distilled(outputs.logits, teacher).detach()})
    torch.testing.assert_close(output.total, weights[0] * cls + weights[1] * distilled(outputs.logits, teacher))


@pytest.mark.parametrize("name", ["lwf", "icarl", "wa", "bic"])
def test_in_task_1_it_is_cross_entropy(name):
    method = begun(name, 3)
    images, targets = batch(6, 0, 3)
    outputs = method.network(images)
    assert outputs.teacher_logits is None
    torch.testing.assert_close(method.loss(outputs, targets).total, cross_entropy(outputs.logits, targets))


def test_the_papers_loss_of_icarl():
    """Equation 1: every class an outcome of its own; labels for the new ones, old outputs for the old ones."""
    method = begun("icarl", 3, 2, loss=IcarlLoss.bce)
    images, targets = batch(6, 0, 5)
    outputs, teacher = taught(method, images)
    total = torch.zeros(())
    for row, old, y in zip(outputs.logits, teacher, targets, strict=True):
        for c, z in enumerate(row):
            share = torch.sigmoid(old[c]) if c < 3 else (y == c).float()
            total = total - share * torch.log(torch.sigmoid(z)) - (1 - share) * torch.log(1 - torch.sigmoid(z))
    torch.testing.assert_close(method.loss(outputs, targets).total, total / 6)


@pytest.mark.parametrize("name", ["lwf", "icarl", "wa", "bic"])
def test_the_teacher_stays_as_it_was(name):
    method = begun(name, 3, 2)
    before = copied(method)
    images, targets = batch(6, 3, 5)
    for _ in range(2):
        step(method, images, targets)
    changed = moved(before, method)
    assert not any(part.startswith("teacher.") for part in changed)
    assert {"heads.0.weight", "heads.1.weight", "backbone.stem.0.weight"} <= changed
    assert any("running_mean" in part for part in changed)


def test_the_teacher_is_the_network_of_the_end_of_the_task_before():
    method = begun("wa", 3, 2)
    step(method, *batch(6, 0, 5))
    method.end_task()
    before = {name: value for name, value in copied(method).items() if not name.startswith("teacher.")}
    method.begin_task(tasks(3, 2, 2)[2])
    teacher = method.network.teacher.state_dict()
    assert teacher.keys() == before.keys()
    assert all(torch.equal(teacher[name], before[name]) for name in before)


def test_aligned_rows_have_the_mean_norm_of_the_old_ones():
    method = begun("wa", 3, 2)
    images, _ = batch(6, 0, 5)
    with torch.no_grad():
        method.network.heads[1].weight.mul_(7)
    before = copied(method)
    kept = method.network.state_dict()
    method.end_task()
    old, new = (head.weight.norm(dim=1).mean() for head in method.network.heads)
    torch.testing.assert_close(old, new)
    assert moved(before, method) == {"heads.1.weight"}
    assert torch.equal(kept["heads.1.weight"], before["heads.1.weight"]), "a state of before is still whole"
    method.network.train()
    assert method.network(images).logits.shape == (6, 5)


def test_in_task_1_nothing_is_aligned():
    method = begun("wa", 3)
    before = copied(method)
    method.end_task()
    assert not moved(before, method)


def test_clipping_keeps_the_weights_of_the_classifier_at_0_or_above():
    method = begun("wa", 3, 2, clip=True)
    assert min(head.weight.min() for head in method.network.heads) < 0
    step(method, *batch(6, 0, 5))
    assert min(head.weight.min() for head in method.network.heads) == 0
    assert method.network.teacher.heads[0].weight.min() < 0, "the teacher of this test was not clipped"


SAME = ["finetune", "lwf", "icarl", "wa", "bic"]


@pytest.mark.parametrize("name", SAME)
def test_all_have_the_same_first_task(name):
    one, other = train("method=replay", "trainer.max_tasks=1"), train(f"method={name}", "trainer.max_tasks=1")
    shared = {part: value for part, value in weights(other).items() if not part.startswith("corrections.")}
    assert shared.keys() == weights(one).keys()
    assert all(torch.equal(shared[part], value) for part, value in weights(one).items())


def without_teacher(trainer):
    trainer.method.network.teacher = None
    return trainer


def test_icarl_without_distillation_is_replay():
    assert_equal_weights(without_teacher(train("method=icarl", "method.kd_weight=0")), train("method=replay"))


def test_wa_without_distillation_and_aligning_is_replay(monkeypatch):
    monkeypatch.setattr(WA, "old_share", lambda self: 0.0)
    wa = train("method=wa", "method.align_weights=false")
    assert_equal_weights(without_teacher(wa), train("method=replay"))


def test_lambda_is_the_share_of_old_classes():
    shares = [r["loss_weights"]["kd"] for r in train("method=wa", "split=2-2").observer.tasks]
    assert shares == [0, 1 / 2, 2 / 3]
    assert begun("bic", 5, 5, 5).loss_weights() == {"cls": 1 - 2 / 3, "kd": 2 / 3}
