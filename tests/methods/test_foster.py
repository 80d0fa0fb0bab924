"""FOSTER: class weights, boosting and compression by their equations, and what passes from task to task."""

import pytest
import torch

from cil.methods.foster import class_weights
from tests.engine.test_loop import make_trainer, train
from tests.methods.networks import (
    batch,
    begun,
    copied,
    cross_entropy,
    moved,
    soft_cross_entropy,
    step,
    tasks,
)

COUNTS = [4, 4, 4, 20, 30]


def boosting(**keys):
    method = begun("foster", 3, 2, **keys)
    method.count_images(COUNTS)
    return method


def compressing(**keys):
    method = boosting(**keys)
    method.begin_phase(1)
    return method


def weights_of(beta):
    raw = [(1 - beta) / (1 - beta**n) for n in COUNTS]
    return torch.tensor([w * len(raw) / sum(raw) for w in raw])


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.96])
def test_class_weights(beta):
    found = class_weights(torch.tensor(COUNTS), beta)
    torch.testing.assert_close(found, weights_of(beta))
    torch.testing.assert_close(found.sum(), torch.tensor(5.0))
    assert class_weights(torch.tensor([0, 5]), beta).isfinite().all()


def test_the_equation_of_boosting():
    method = boosting(kd_weight=0.5)
    images, targets = batch(6, 0, 5)
    outputs = method.network(images)
    boosted = method.network.boosted
    old = boosted.old.classify(images)
    features = torch.cat([old.features, outputs.features[:, 64:]], 1)
    logits = features @ boosted.head.weight.T + boosted.head.bias
    logits = torch.cat([logits[:, :3] + old.logits, logits[:, 3:]], 1)
    torch.testing.assert_close(outputs.logits, logits)
    aux = features[:, 64:] @ boosted.aux_head.weight.T + boosted.aux_head.bias
    expected = cross_entropy(logits / weights_of(0.96), targets) + cross_entropy(aux, targets)
    expected = expected + 0.5 * soft_cross_entropy(logits[:, :3] / 2, torch.softmax(old.logits / 2, 1))
    torch.testing.assert_close(method.loss(outputs, targets).total, expected)


def test_the_equation_of_compression():
    method = compressing()
    images, targets = batch(6, 0, 5)
    outputs = method.network(images)
    with torch.no_grad():
        teacher = method.network.boosted.eval()(images).logits
    shares = torch.softmax(teacher / 2, 1) * weights_of(0.97)
    shares = shares / shares.sum(1, keepdim=True)
    result = method.loss(outputs, targets)
    torch.testing.assert_close(result.total, soft_cross_entropy(outputs.logits / 2, shares))
    assert list(result.terms) == ["compression"]
    assert torch.equal(result.total, method.loss(outputs, (targets + 1) % 5).total), "without labels"


def test_the_old_logits_start_as_they_were_but_for_what_the_branch_gives():
    method = boosting()
    images, _ = batch(6, 0, 5)
    boosted = method.network.boosted
    assert not boosted.head.weight[:3, :64].any()
    with torch.no_grad():
        boosted.head.weight[:3, 64:] = 0
    old = boosted.old.classify(images).logits
    torch.testing.assert_close(method.network(images).logits[:, :3], old)


def test_what_boosting_trains():
    method = boosting()
    before = copied(method)
    for _ in range(2):
        step(method, *batch(6, 0, 5))
    changed = moved(before, method)
    assert not any(part.startswith("boosted.old.") for part in changed)
    assert {"boosted.branch.stem.0.weight", "boosted.head.weight", "boosted.aux_head.weight"} <= changed


def test_what_compression_trains():
    method = compressing()
    old = method.network.boosted.old
    for name, value in old.state_dict().items():
        assert torch.equal(method.network.student.state_dict()[name], value), "it starts from the network of before"
    before = copied(method)
    for _ in range(2):
        step(method, *batch(6, 0, 5))
    changed = moved(before, method)
    assert not any(part.startswith("boosted.") for part in changed)
    assert {"student.backbone.stem.0.weight", "student.heads.0.weight", "student.heads.1.weight"} <= changed


def test_rows_are_aligned_after_boosting_and_after_compression():
    method = boosting()
    boosted = method.network.boosted
    method.begin_phase(1)
    acting = boosted.head.weight.clone()
    acting[:3, :64] += boosted.old.heads[0].weight
    norms = acting.norm(dim=1)
    torch.testing.assert_close(norms[:3].mean(), norms[3:].mean())
    method.end_task()
    old, new = (head.weight.norm(dim=1).mean() for head in method.network.student.heads)
    torch.testing.assert_close(old, new)


def test_without_aligning_nothing_is_scaled():
    method = boosting(align_weights=False)
    before = method.network.boosted.head.weight.clone()
    method.begin_phase(1)
    assert torch.equal(method.network.boosted.head.weight, before)


def test_the_compressed_network_is_judged_and_goes_on():
    method = compressing()
    step(method, *batch(6, 0, 5))
    images, _ = batch(4, 0, 5)
    method.network.eval()
    found = method.predict(images)
    assert torch.equal(found.logits, method.network.student.classify(images).logits)
    assert torch.equal(found.scores["boosted"], method.network.boosted(images).logits)
    assert found.features.shape == (4, 64)
    student = method.network.student
    method.begin_task(tasks(3, 2, 2)[2])
    assert method.network.boosted.old is student
    assert method.network.student is None
    assert not any(p.requires_grad for p in student.parameters())


def test_schedules():
    trainer = make_trainer("method=foster", "method.compression_share=1.5", "trainer.inc_epochs=4")
    (first,) = trainer.method.phases(trainer.tasks[0])
    boost, compress = trainer.method.phases(trainer.tasks[1])
    assert (first.epochs, boost.epochs, compress.epochs) == (3, 4, 6)
    assert (boost.weight_decay, compress.weight_decay) == (trainer.config.optimizer.inc_weight_decay, 0)
    assert [boost.rate(epoch) for epoch in (0, 2)] == pytest.approx([0.1, 0.05])
    assert compress.rate(6) == pytest.approx(0)


def test_class_weights_are_those_of_the_task_as_it_is_trained():
    trainer = train("method=foster", "trainer.max_tasks=2")
    expected = class_weights(torch.tensor([10, 10, 12, 12]), 0.96)
    assert torch.equal(trainer.method._class_weights(torch.zeros(4), 0.96), expected)
    assert {"top1", "nme_top1", "boosted_top1"} <= trainer.task_end.history.curves.keys()
