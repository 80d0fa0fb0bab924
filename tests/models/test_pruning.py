"""Filters go by the sum of their distances to the others; what is left computes what it computed before."""

import copy

import pytest
import torch

from cil.config.schema import BackboneConfig, Stem
from cil.models.pruning import kept_filters, pruned, removed_count
from cil.models.resnet import BasicBlock, make_backbone


def network(name: str = "resnet8", seed: int = 0):
    net = make_backbone(BackboneConfig(name=name, stem=Stem.cifar), torch.Generator().manual_seed(seed))
    draws = torch.Generator().manual_seed(seed + 1)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean):
                tensor.normal_(generator=draws)
            module.running_var.uniform_(0.5, 2, generator=draws)
    return net.eval()


def test_a_case_by_hand():
    # On a line at 0, 1, 3, 4, 20 the sums of distances are 28, 25, 23, 24, 72: 3 goes first, then 4, then 1.
    filters = torch.tensor([0.0, 1.0, 3.0, 4.0, 20.0]).reshape(5, 1, 1, 1)
    assert kept_filters(filters, 0.2).tolist() == [0, 1, 3, 4]
    assert kept_filters(filters, 0.4).tolist() == [0, 1, 4]
    assert kept_filters(filters, 0.6).tolist() == [0, 4]
    assert kept_filters(filters, 0.19).tolist() == [0, 1, 2, 3, 4]


def test_of_equal_filters_the_first_goes():
    filters = torch.tensor([5.0, 1.0, 1.0, 5.0]).reshape(4, 1, 1, 1)
    assert kept_filters(filters, 0.25).tolist() == [1, 2, 3]
    assert kept_filters(filters, 0.5).tolist() == [2, 3]


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.5, 0.97])
def test_against_a_plain_double_loop(ratio: float):
    weight = torch.randn(32, 7, 3, 3, generator=torch.Generator().manual_seed(4))
    sums = []
    for one in weight.tolist():
        total = 0.0
        for other in weight.tolist():
            a, b = torch.tensor(one).flatten().tolist(), torch.tensor(other).flatten().tolist()
            total += sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) ** 0.5
        sums.append(total)
    gone = sorted(range(32), key=lambda i: sums[i])[: int(ratio * 32)]
    assert kept_filters(weight, ratio).tolist() == [i for i in range(32) if i not in gone]


@pytest.mark.parametrize(
    ("filters", "ratio", "count"), [(16, 0.2, 3), (10, 0.3, 3), (100, 0.29, 29), (64, 0.999999, 63), (1, 0.5, 0)]
)
def test_the_share_is_rounded_down_and_one_filter_stays(filters: int, ratio: float, count: int):
    assert removed_count(filters, ratio) == count


@pytest.mark.parametrize("name", ["resnet8", "resnet18"])
@torch.no_grad()
def test_it_computes_what_the_network_computes_with_those_channels_at_zero(name: str):
    net = network(name)
    masked = copy.deepcopy(net)
    for block in masked.modules():
        if isinstance(block, BasicBlock):
            gone = torch.ones(len(block.conv1.weight), dtype=torch.bool)
            gone[kept_filters(block.conv1.weight, 0.4)] = False
            block.norm1.weight[gone] = 0
            block.norm1.bias[gone] = 0  # so the channel is 0 behind the ReLU
    before = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(2))

    smaller = pruned(net, 0.4)

    torch.testing.assert_close(smaller(images), masked(images), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(smaller(images), net(images), rtol=1e-2)
    assert all(torch.equal(tensor, before[key]) for key, tensor in net.state_dict().items())


def test_the_tensors_are_smaller_by_hand():
    whole, smaller = network(), pruned(network(), 0.25)  # stages of 16, 32 and 64 channels lose 4, 8 and 16
    removed = [4 * (16 * 9 + 2 + 16 * 9), 8 * (16 * 9 + 2 + 32 * 9), 16 * (32 * 9 + 2 + 64 * 9)]
    counts = [sum(p.numel() for p in net.parameters()) for net in (whole, smaller)]
    assert counts[0] - counts[1] == sum(removed)
    assert smaller.stages[2][0].conv1.weight.shape == (48, 32, 3, 3)
    assert smaller.stages[2][0].conv2.weight.shape == (64, 48, 3, 3)
    assert smaller.stages[2][0].norm1.running_var.shape == (48,)


def test_without_values_the_shapes_are_the_same():
    with torch.device("meta"):
        hollow = pruned(network("resnet8").to("meta"), 0.3)
    shapes = {key: tensor.shape for key, tensor in pruned(network(), 0.3).state_dict().items()}
    assert {key: tensor.shape for key, tensor in hollow.state_dict().items()} == shapes
