"""Folded networks are the same function, and never a part of the network that they are copies of."""

import copy
import gc
import io
import weakref

import pytest
import torch
from torch import nn

from cil.config.schema import BackboneConfig, FrozenForm, Stem
from cil.models.folding import FrozenForward, folded
from cil.models.resnet import ResNet, make_backbone, pool

BACKBONES = [
    ("resnet8", Stem.cifar),
    ("resnet20", Stem.cifar),
    ("resnet32", Stem.cifar),
    ("resnet18", Stem.cifar),
    ("resnet18", Stem.imagenet),
    ("resnet18", Stem.imagenet_stride1),
]


def frozen(name: str = "resnet8", stem: Stem = Stem.cifar, seed: int = 0) -> ResNet:
    """A network with statistics and scales unlike those it starts with."""
    net = make_backbone(BackboneConfig(name=name, stem=stem), torch.Generator().manual_seed(seed))
    draws = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.5, generator=draws)
                module.running_var.uniform_(0.3, 3, generator=draws)
                module.weight.uniform_(0.3, 1.5, generator=draws)
                module.bias.normal_(0, 0.3, generator=draws)
    return net.requires_grad_(False).eval()


def images(count: int = 4, side: int = 32) -> torch.Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize(("name", "stem"), BACKBONES, ids=lambda value: getattr(value, "name", value))
def test_features_are_the_same(name, stem):
    net, x = frozen(name, stem), images()
    small = folded(net)
    assert not [m for m in small.modules() if isinstance(m, nn.BatchNorm2d)]
    expected = pool(net(x))
    torch.testing.assert_close(pool(small(x)), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(pool(folded(net.double())(x.double())), pool(net(x.double())), rtol=1e-12, atol=1e-12)


def test_exactly_itself_by_default():
    net, x = frozen(), images()
    run = FrozenForward()
    assert torch.equal(run(net, x), net(x))
    assert not run._prepared


def test_in_bfloat16_close_and_in_the_dtype_of_the_images():
    net, x = frozen(), images()
    found = FrozenForward(FrozenForm.folded_bf16)(net, x)
    assert found.dtype == torch.float32
    assert 0 < (found - net(x)).norm() / net(x).norm() < 0.03


def test_gradients_reach_what_is_below():
    """Below a frozen stage of MEMO the shared stages are trained."""
    net, x = frozen(), images().requires_grad_()
    (expected,) = torch.autograd.grad(net(x).square().sum(), x)
    (found,) = torch.autograd.grad(FrozenForward(FrozenForm.folded)(net, x).square().sum(), x)
    assert (found - expected).norm() / expected.norm() < 1e-5


def test_a_network_in_training_mode_is_refused():
    with pytest.raises(ValueError, match="eval mode"):
        folded(frozen().train())


def loaded(net: ResNet) -> None:
    net.load_state_dict(frozen(seed=9).state_dict())


def one_statistic(net: ResNet) -> None:
    net.stem[1].running_mean += 1


def one_weight_replaced(net: ResNet) -> None:
    conv = net.stages[0][0].conv1
    conv.weight = nn.Parameter(conv.weight.flip(0), requires_grad=False)


@pytest.mark.parametrize("change", [loaded, one_statistic, one_weight_replaced, lambda net: net.double()])
def test_a_changed_network_is_folded_anew(change):
    net, run = frozen(), FrozenForward(FrozenForm.folded)
    run(net, images())
    change(net)
    x = images().to(net.stem[0].weight.dtype)
    torch.testing.assert_close(run(net, x), net(x), rtol=1e-5, atol=1e-5)


def test_an_unchanged_one_is_folded_once(monkeypatch):
    calls = []
    monkeypatch.setattr("cil.models.folding.folded", lambda net: calls.append(net) or folded(net))
    net, run = frozen(), FrozenForward(FrozenForm.folded)
    for _ in range(3):
        run(net, images())
    assert len(calls) == 1


class Owner(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = frozen()
        self.run_frozen = FrozenForward(FrozenForm.folded)

    def forward(self, x):
        return self.run_frozen(self.net, x)


def test_copies_are_no_part_of_the_network():
    owner = Owner()
    before = list(owner.state_dict()), list(owner.parameters()), list(owner.modules())
    expected = owner(images())
    assert len(owner.run_frozen._prepared) == 1
    assert (list(owner.state_dict()), list(owner.parameters()), list(owner.modules())) == before
    buffer = io.BytesIO()
    torch.save(owner, buffer)
    buffer.seek(0)
    for other in (copy.deepcopy(owner), torch.load(buffer, weights_only=False)):
        assert not other.run_frozen._prepared
        assert torch.equal(other(images()), expected)


def test_a_copy_goes_with_its_network():
    run, net = FrozenForward(FrozenForm.folded), frozen()
    run(net, images())
    gone = weakref.ref(next(iter(run._prepared.values())).copy)
    del net
    gc.collect()
    assert gone() is None
    assert not run._prepared
