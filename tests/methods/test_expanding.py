"""der and memo: growth, what trains, and the loss."""

import pytest
import torch
import torch.nn.functional as F

from cil.config.schema import BackboneConfig, RunConfig, method_schema
from cil.methods import make_method
from tests.methods.networks import batch, begun, copied, cross_entropy, moved, step, tasks


@pytest.mark.parametrize("name", ["der", "memo"])
def test_the_defining_equation(name):
    method = begun(name, 3, 2, aux_weight=0.7)
    images, targets = batch(8, 0, 5)
    outputs = method.network(images)
    assert outputs.logits.shape == (8, 5) and outputs.features.shape == (8, 128)
    newest = outputs.features[:, 64:]
    aux = F.linear(newest, method.network.aux_head.weight, method.network.aux_head.bias)
    among_new = torch.tensor([0 if y < 3 else int(y) - 3 + 1 for y in targets])
    expected = cross_entropy(outputs.logits, targets) + 0.7 * cross_entropy(aux, among_new)
    torch.testing.assert_close(method.loss(outputs, targets).total, expected)


@pytest.mark.parametrize("name", ["der", "memo"])
def test_growth(name):
    """The new branch starts as the one before; the classifier keeps old rows on old columns and is fresh elsewhere."""
    method = begun(name, 3)
    step(method, *batch(6, 0, 3))
    old = method.network.classifier
    newest = {key: value.clone() for key, value in method.network.branches[0].state_dict().items()}
    method.begin_task(tasks(3, 2)[1])
    grown = method.network.classifier
    assert torch.equal(grown.weight[:3, :64], old.weight) and torch.equal(grown.bias[:3], old.bias)
    assert grown.weight[:3, 64:].abs().min() > 0 and grown.weight[3:].abs().min() > 0
    for branch in method.network.branches:
        assert all(torch.equal(value, newest[key]) for key, value in branch.state_dict().items())
    assert method.network.aux_head.out_features == 3


def test_what_der_trains():
    method = begun("der", 3, 2)
    before = copied(method)
    for _ in range(2):
        step(method, *batch(6, 0, 5))
    changed = moved(before, method)
    assert not any(part.startswith("branches.0.") for part in changed), "frozen, statistics included"
    assert {"branches.1.stem.0.weight", "classifier.weight", "classifier.bias", "aux_head.weight"} <= changed


def test_what_memo_trains():
    """The shared stages go on training, through frozen last stages too."""
    method = begun("memo", 3, 2)
    before = copied(method)
    step(method, *batch(6, 0, 5))
    changed = moved(before, method)
    assert not any(part.startswith("branches.0.") for part in changed)
    assert any(part.startswith("trunk.") for part in changed)
    assert any(part.startswith("branches.1.") for part in changed)
    # With the newest branch cut off from the classifier and no auxiliary loss, gradients come from the old branch.
    method = begun("memo", 3, 2, aux_weight=0.0)
    with torch.no_grad():
        method.network.classifier.weight[:, 64:] = 0
    images, targets = batch(6, 0, 5)
    method.loss(method.network(images), targets).total.backward()
    assert max(p.grad.abs().max() for p in method.network.trunk.parameters()) > 0
    assert max(p.grad.abs().max() for p in method.network.branches[1].parameters()) == 0
    assert all(p.grad is None for p in method.network.branches[0].parameters())


def test_memo_adds_the_last_stage_only():
    der, memo = begun("der", 3, 2).network, begun("memo", 3, 2).network
    assert len(memo.trunk) == 1 + 2  # stem and two of three stages
    count = [sum(p.numel() for p in net.parameters()) for net in (der, memo)]
    whole, last = (sum(p.numel() for p in net.branches[1].parameters()) for net in (der, memo))
    assert count[0] - count[1] == whole - last
    images, _ = batch(4, 0, 5)
    assert der(images).logits.shape == memo(images).logits.shape


@pytest.mark.parametrize("name", ["der", "memo"])
def test_aligned_rows_have_the_mean_norm_of_the_old_ones(name):
    method = begun(name, 3, 2)
    before = copied(method)
    method.end_task()
    norms = method.network.classifier.weight.norm(dim=1)
    torch.testing.assert_close(norms[:3].mean(), norms[3:].mean())
    assert moved(before, method) == {"classifier.weight"}


def test_the_sizes_of_the_reference():
    """ResNet-32, four tasks of five classes: head 256 -> 20, auxiliary head 64 -> 6, one of four backbones trains."""
    settings = RunConfig(backbone=BackboneConfig(name="resnet32"), method=method_schema("der")("der"))
    method = make_method(settings)
    for task in tasks(5, 5, 5, 5):
        method.begin_task(task)
    network = method.network
    assert [sum(p.numel() for p in branch.parameters()) for branch in network.branches] == [463_504] * 4
    assert [any(p.requires_grad for p in branch.parameters()) for branch in network.branches] == [0, 0, 0, 1]
    sizes = [sum(p.numel() for p in head.parameters()) for head in (network.classifier, network.aux_head)]
    assert sizes == [5_140, 390]
