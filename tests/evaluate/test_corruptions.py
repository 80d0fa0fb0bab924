import pytest
import torch

from cil.evaluate.corruptions import STRENGTHS, corrupted


def pixels(side: int = 32) -> torch.Tensor:
    return torch.randint(60, 190, (4, 3, side, side), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


@pytest.mark.parametrize("kind", STRENGTHS)
def test_more_strength_changes_more(kind: str):
    images = pixels().float()

    changes = [(corrupted(pixels(), kind, strength, 0, 1).float() - images).abs().mean() for strength in range(1, 6)]

    assert changes == sorted(changes) and changes[0] > 0


def test_noise_has_its_standard_deviation_and_is_the_same_again():
    grey = torch.full((8, 3, 32, 32), 128, dtype=torch.uint8)

    noisy = corrupted(grey, "noise", 3, 0, 1)

    assert (noisy.float() - 128).std().item() == pytest.approx(255 * 0.10, rel=0.03)
    assert torch.equal(noisy, corrupted(grey, "noise", 3, 0, 1))
    assert not torch.equal(noisy, corrupted(grey, "noise", 3, 1, 1))  # another batch
    assert not torch.equal(noisy, corrupted(grey, "noise", 3, 0, 2))  # another seed


def test_contrast_shrinks_the_distance_to_the_mean():
    images = pixels()

    flat = corrupted(images, "contrast", 2, 0, 1)

    mean = images.float().mean(dim=(1, 2, 3), keepdim=True)
    assert (flat.float() - (mean + 0.5 * (images.float() - mean))).abs().max() <= 0.5


def test_blur_keeps_the_mean_and_is_relative_to_the_side():
    for side in (32, 64):
        images = pixels(side)
        blurred = corrupted(images, "blur", 5, 0, 1)
        assert blurred.float().mean().item() == pytest.approx(images.float().mean().item(), abs=1)
        assert blurred.float().std() < 0.6 * images.float().std()
