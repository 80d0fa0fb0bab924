import pytest
import torch

from cil.config.schema import BackboneConfig, Stem
from cil.models.resnet import PaddingShortcut, make_backbone, pool


def backbone(name: str, stem: Stem = Stem.cifar, seed: int = 0):
    return make_backbone(BackboneConfig(name=name, stem=stem), torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("name", "parameters"),
    # He et al. 2016, table 6: 0.27 M and 0.46 M with the CIFAR-10 classifier; ResNet-18 as commonly counted.
    [("resnet20", 269_722 - 650), ("resnet32", 464_154 - 650), ("resnet18", 11_173_962 - 5130)],
)
def test_parameter_counts(name, parameters):
    assert sum(p.numel() for p in backbone(name).parameters()) == parameters


@pytest.mark.parametrize(
    ("name", "stem", "image", "expected"),
    [
        ("resnet8", Stem.cifar, 8, (64, 2, 2)),
        ("resnet20", Stem.cifar, 32, (64, 8, 8)),
        ("resnet18", Stem.cifar, 32, (512, 4, 4)),
        ("resnet18", Stem.imagenet, 64, (512, 2, 2)),
        ("resnet18", Stem.imagenet_stride1, 64, (512, 4, 4)),
    ],
)
def test_map_sizes(name, stem, image, expected):
    feature_map = backbone(name, stem)(torch.zeros(2, 3, image, image))
    assert feature_map.shape[1:] == expected
    assert pool(feature_map).shape == (2, expected[0])


def test_padding_shortcut_appends_zero_channels():
    x = torch.arange(2 * 4 * 4.0).reshape(1, 2, 4, 4)
    out = PaddingShortcut(2, 5, 2)(x)
    assert torch.equal(out[:, :2], x[:, :, ::2, ::2])
    assert not out[:, 2:].any()


def test_the_seed_alone_decides_the_weights():
    torch.manual_seed(1)
    first = backbone("resnet8").state_dict()
    torch.manual_seed(2)
    second = backbone("resnet8").state_dict()
    other = backbone("resnet8", seed=1).state_dict()
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert not torch.equal(first["stem.0.weight"], other["stem.0.weight"])


def test_unknown_backbone_names_the_valid_ones():
    with pytest.raises(ValueError, match="resnet18, resnet8, resnet20, resnet32"):
        backbone("resnet50")
