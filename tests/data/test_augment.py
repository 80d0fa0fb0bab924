import pytest
import torch
from torchvision.transforms import functional as F

from cil.config.schema import AugmentConfig, AutoAugmentOps, AutoAugmentPolicy
from cil.data import image_ops
from cil.data.augment import Augmenter, Draws
from cil.seeding import generator
from tests.data.random_state import global_random_state

MEAN, STD = [0.5071, 0.4867, 0.4408], [0.2675, 0.2565, 0.2761]


def everything(**changes) -> AugmentConfig:
    keys = {
        "crop_padding": 4,
        "flip": True,
        "brightness": 63 / 255,
        "auto_augment": AutoAugmentPolicy.cifar10,
        "cutout": 16,
        "mean": MEAN,
        "std": STD,
    }
    return AugmentConfig(**(keys | changes))


def noise(count: int, size: int = 32) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, size, size), generator=generator(1, "noise"), dtype=torch.uint8)


def naive_cutout(image: torch.Tensor, centre: list[int], side: int) -> torch.Tensor:
    image = image.clone()
    top, left = centre[0] - side // 2, centre[1] - side // 2
    for y in range(max(0, top), min(image.shape[1], top + side)):
        for x in range(max(0, left), min(image.shape[2], left + side)):
            image[:, y, x] = 0
    return image


def naive(image: torch.Tensor, draws: Draws, row: int, cfg: AugmentConfig) -> torch.Tensor:
    """One image through torchvision's functions, without AutoAugment."""
    height, width = image.shape[1:]
    top, left = draws.crop[row].tolist()
    image = F.crop(F.pad(image, [cfg.crop_padding]), top, left, height, width)
    if draws.flip[row]:
        image = F.hflip(image)
    image = F.adjust_brightness(image, draws.brightness[row].item())
    image = naive_cutout(image, draws.cutout[row].tolist(), cfg.cutout)
    return F.normalize(F.convert_image_dtype(image, torch.float32), cfg.mean, cfg.std)


@pytest.mark.parametrize(("size", "padding", "side"), [(32, 4, 16), (8, 1, 3), (9, 3, 20)])
def test_a_batch_equals_a_loop_over_images(size, padding, side):
    cfg = everything(crop_padding=padding, cutout=side, auto_augment=AutoAugmentPolicy.none, brightness=0.5)
    augmenter, images = Augmenter(cfg, size), noise(64, size)
    draws = augmenter.draw(64, generator(2, "loop"))
    expected = torch.stack([naive(image, draws, row, cfg) for row, image in enumerate(images)])
    torch.testing.assert_close(augmenter.train(images, draws), expected, rtol=0, atol=2e-6)


def test_auto_augment_comes_after_brightness_and_before_cutout():
    cfg = everything()
    augmenter, images = Augmenter(cfg, 32), noise(256)
    draws = augmenter.draw(256, generator(3, "order"))
    bright = image_ops.random_crop(images, draws.crop, 4)
    bright = image_ops.flip_rows(bright, draws.flip.nonzero()[:, 0])
    bright = image_ops.brightness(bright, draws.brightness.float()[:, None])
    changed = augmenter._auto_augment(bright, draws.policy, draws.chance, draws.negative)
    assert not torch.equal(changed, bright)
    expected = augmenter.evaluate(image_ops.cutout(changed, draws.cutout, 16))
    assert torch.equal(augmenter.train(images, draws), expected)


def test_the_operations_are_the_published_ones_unless_torchvisions_are_asked_for():
    images = noise(256)
    results = [
        Augmenter(everything(**keys), 32).train(images, Augmenter(everything(), 32).draw(256, generator(3, "ops")))
        for keys in (
            {},
            {"auto_augment_ops": AutoAugmentOps.published},
            {"auto_augment_ops": AutoAugmentOps.torchvision},
        )
    ]
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_brightness_equals_torchvision_at_the_extremes():
    images = noise(40)
    factors = [0.0, 1.0, 2.0, 0.1, 0.7529411764705882, 1.2470588235294118, 1.9999999, 0.3333333333] * 5
    result = image_ops.brightness(images, torch.tensor(factors)[:, None])
    expected = [F.adjust_brightness(image, factor) for image, factor in zip(images, factors, strict=True)]
    assert torch.equal(result, torch.stack(expected))


@pytest.mark.parametrize("switched_off", ["crop_padding", "flip", "brightness", "auto_augment", "cutout"])
def test_each_part_changes_the_result_and_can_be_switched_off(switched_off):
    off = {"flip": False, "auto_augment": AutoAugmentPolicy.none}.get(switched_off, 0)
    images = noise(32)
    full, without = Augmenter(everything(), 32), Augmenter(everything(**{switched_off: off}), 32)
    draws = full.draw(32, generator(4, "off"))
    assert not torch.equal(full.train(images, draws), without.train(images, draws))
    fewer = without.draw(32, generator(4, "off"))
    for name in ("flip", "policy", "chance", "negative", "cutout"):
        assert torch.equal(getattr(draws, name), getattr(fewer, name)), name


def test_nothing_switched_on_is_the_evaluation_transform():
    images = noise(7)
    augmenter = Augmenter(AugmentConfig(mean=MEAN, std=STD), 32)
    expected = F.normalize(F.convert_image_dtype(images, torch.float32), MEAN, STD)
    torch.testing.assert_close(augmenter.evaluate(images), expected, rtol=0, atol=2e-6)
    assert torch.equal(augmenter.train(images, augmenter.draw(7, generator(0))), augmenter.evaluate(images))


def test_draws_are_as_frequent_as_they_should_be():
    n = 40_000
    draws = Augmenter(everything(), 32).draw(n, generator(9, "frequency"))
    assert len(draws) == n
    offsets = torch.bincount(draws.crop[:, 0] * 9 + draws.crop[:, 1], minlength=81)
    assert len(offsets) == 81
    assert offsets.min() > 0.8 * n / 81
    assert offsets.max() < 1.2 * n / 81
    assert 0.48 < draws.flip.float().mean() < 0.52
    low, high = 1 - 63 / 255, 1 + 63 / 255
    assert low <= draws.brightness.min() < low + 0.01
    assert high - 0.01 < draws.brightness.max() <= high
    assert abs(draws.brightness.mean() - 1) < 0.01
    policies = torch.bincount(draws.policy, minlength=25)
    assert len(policies) == 25
    assert policies.min() > 0.85 * n / 25
    assert policies.max() < 1.15 * n / 25
    assert ((draws.chance.mean(0) - 0.5).abs() < 0.01).all()
    assert ((draws.negative.float().mean(0) - 0.5).abs() < 0.02).all()
    for axis in range(2):
        centres = torch.bincount(draws.cutout[:, axis], minlength=32)
        assert len(centres) == 32
        assert centres.min() > 0.8 * n / 32
    together = torch.corrcoef(
        torch.stack([draws.flip.double(), draws.brightness, draws.policy.double(), draws.chance[:, 0]])
    )
    assert (together - torch.eye(4)).abs().max() < 0.03


def test_same_stream_same_bits_other_stream_other_bits():
    augmenter, images = Augmenter(everything(), 32), noise(20)
    first = augmenter.train(images, augmenter.draw(20, generator(1, "augment", 1, 0, 0)))
    again = augmenter.train(images, augmenter.draw(20, generator(1, "augment", 1, 0, 0)))
    other = augmenter.train(images, augmenter.draw(20, generator(1, "augment", 1, 0, 1)))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (20, 3, 32, 32)
    assert first.dtype == torch.float32


def test_a_row_depends_on_its_own_draws_only():
    augmenter, images = Augmenter(everything(), 32), noise(50)
    draws = augmenter.draw(50, generator(6, "rows"))
    whole = augmenter.train(images, draws)
    for row in range(50):
        one = Draws(**{name: value[row : row + 1] for name, value in vars(draws).items()})
        assert torch.equal(augmenter.train(images[row : row + 1], one)[0], whole[row])


def test_images_and_global_random_states_are_left_alone():
    augmenter, images = Augmenter(everything(), 32), noise(30)
    before, state = images.clone(), global_random_state()
    augmenter.train(images, augmenter.draw(30, generator(1)))
    augmenter.evaluate(images)
    assert torch.equal(images, before)
    assert global_random_state() == state


def test_draws_for_other_images_are_refused():
    augmenter = Augmenter(everything(), 32)
    with pytest.raises(ValueError, match="4 draws for 32 pixels"):
        augmenter.train(noise(5), augmenter.draw(4, generator(1)))
    with pytest.raises(ValueError, match="4 draws for 32 pixels"):
        augmenter.train(noise(4, 16), augmenter.draw(4, generator(1)))


@pytest.mark.parametrize("policy", list(AutoAugmentPolicy))
@pytest.mark.parametrize("ops", list(AutoAugmentOps))
def test_no_value_is_read_back_from_the_device(policy, ops):
    # A meta tensor has a shape and no values: reading one, or a shape that depends on one, is an error.
    augmenter, images = Augmenter(everything(auto_augment=policy, auto_augment_ops=ops), 32), noise(256).to("meta")
    assert augmenter.train(images, augmenter.draw(256, generator(1))).shape == (256, 3, 32, 32)
    assert augmenter.evaluate(images).shape == (256, 3, 32, 32)


@pytest.mark.cuda
@pytest.mark.parametrize("policy", list(AutoAugmentPolicy))
@pytest.mark.parametrize("ops", list(AutoAugmentOps))
def test_cuda_gives_the_same_pixels_without_waiting(policy, ops):
    augmenter, images = Augmenter(everything(auto_augment=policy, auto_augment_ops=ops), 32), noise(256)
    draws = augmenter.draw(256, generator(1))
    there = images.cuda()
    augmenter.train(there, draws)
    torch.cuda.set_sync_debug_mode("error")
    try:
        result = augmenter.train(there, draws)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(result.cpu(), augmenter.train(images, draws), rtol=0, atol=1e-6)
