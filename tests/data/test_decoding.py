import multiprocessing
import os
import pickle
import signal
import time

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import functional as F

from cil.data.crops import random_box
from cil.data.decoding import BatchDecoder, BatchRequest, DecoderPool, WorkerDied
from cil.data.image_files import centre_resized
from cil.errors import DataError
from cil.seeding import generator
from tests.data.image_files import smooth_image, write_images
from tests.data.random_state import global_random_state


def cropped(paths: list[str], *key: int) -> BatchRequest:
    """A training batch whose crops' streams are named by key and row."""
    return BatchRequest(paths, (key, range(len(paths))))


def uniform(*key) -> np.ndarray:
    return torch.rand((10, 4), generator=generator(1, *key), dtype=torch.float64).numpy()


def torchvision_boxes(width: int, height: int, count: int) -> list[tuple[int, ...]]:
    image = torch.empty((3, height, width))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        found = [transforms.RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(count)]
    return [(left, top, left + w, top + h) for top, left, h, w in found]


@pytest.mark.parametrize(("width", "height"), [(400, 300), (300, 500)])
def test_random_boxes_are_distributed_like_torchvisions(width, height):
    count = 4000
    ours = torch.tensor([random_box(width, height, uniform("box", number)) for number in range(count)])
    theirs = torch.tensor(torchvision_boxes(width, height, count))
    levels = torch.tensor([0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0])
    quantiles = []
    for boxes in (ours.double(), theirs.double()):
        left, top, right, bottom = boxes.unbind(1)
        assert left.min() == 0
        assert top.min() == 0
        assert right.max() == width
        assert bottom.max() == height
        area = (right - left) * (bottom - top) / (width * height)
        aspect = ((right - left) / (bottom - top)).log()
        measured = [area, aspect, (left + right) / (2 * width), (top + bottom) / (2 * height)]
        quantiles.append(torch.stack(measured).quantile(levels.double(), dim=1))
    assert (quantiles[0] - quantiles[1]).abs().max() < 0.04


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(1000, 10, (493, 0, 506, 10)), (10, 1000, (0, 493, 10, 506)), (1, 1, (0, 0, 1, 1))],
)
def test_an_image_no_crop_fits_gives_its_central_part(width, height, expected):
    assert random_box(width, height, np.full((10, 4), 0.9)) == expected


@pytest.mark.parametrize(("width", "height"), [(90, 60), (60, 90), (61, 61), (20, 31), (37, 300)])
def test_evaluation_equals_torchvisions_resize_and_centre_crop(width, height):
    image = smooth_image(1, width, height)
    expected = transforms.Compose([transforms.Resize(37), transforms.CenterCrop(32)])(image)
    assert np.array_equal(np.asarray(centre_resized(image, 37, 32)), np.asarray(expected))


def test_two_crops_equal_torchvisions_resized_crop(tmp_path):
    paths = write_images(tmp_path, 3)
    decoded = BatchDecoder(24, True, 28)[cropped(paths.tolist(), 5, 1, 2, 3)]
    assert decoded.shape == (6, 3, 24, 24)
    assert decoded.dtype == torch.uint8
    for row, path in enumerate(paths):
        draws = torch.rand((2, 10, 4), generator=generator(5, "crop", 1, 2, 3, row), dtype=torch.float64).numpy()
        image = Image.open(path)
        for view in range(2):
            left, top, right, bottom = random_box(*image.size, draws[view])
            expected = F.resized_crop(image, top, left, bottom - top, right - left, [24, 24])
            assert torch.equal(decoded[3 * view + row], F.pil_to_tensor(expected))
    assert not torch.equal(decoded[:3], decoded[3:])


def test_without_random_crops_one_square_serves_both_views(tmp_path):
    paths = write_images(tmp_path, 2)
    decoded = BatchDecoder(24, False, 28)[cropped(paths.tolist(), 5, 1, 2, 3)]
    expected = [F.pil_to_tensor(centre_resized(Image.open(path), 24, 24)) for path in paths]
    assert torch.equal(decoded, torch.stack(expected))


@pytest.mark.parametrize(
    ("mode", "suffix"), [("L", "jpg"), ("CMYK", "jpg"), ("P", "png"), ("RGBA", "png"), ("LA", "png"), ("1", "png")]
)
def test_every_colour_mode_becomes_three_channels(tmp_path, mode, suffix):
    path = tmp_path / f"image.{suffix}"
    original = smooth_image(0, 40, 40)
    original.convert(mode).save(path)
    with Image.open(path) as stored:
        assert stored.mode == mode
    decoded = BatchDecoder(40, False, 40)[BatchRequest([str(path)], None)]
    assert decoded.shape == (1, 3, 40, 40)
    reference = np.asarray(original.convert(mode).convert("RGB")).astype(int)
    assert np.abs(decoded[0].permute(1, 2, 0).numpy() - reference).mean() < 8


def broken_files(folder):
    good = folder / "good.jpg"
    smooth_image(0, 60, 60).save(good)
    (folder / "truncated.jpg").write_bytes(good.read_bytes()[: good.stat().st_size * 2 // 3])
    (folder / "text.jpg").write_text("not an image")
    (folder / "empty.png").write_bytes(b"")
    return [folder / name for name in ("truncated.jpg", "text.jpg", "empty.png", "missing.jpg")]


def test_an_unreadable_file_is_one_line_with_its_path_that_survives_pickling(tmp_path):
    for path in broken_files(tmp_path):
        error = BatchDecoder(24, True, 28)[cropped([str(tmp_path / "good.jpg"), str(path)], 1, 1, 0, 0)]
        assert isinstance(error, DataError), path
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is DataError
        assert str(path) in str(copy)
        assert len(str(copy)) > len(str(path)) + 5
        assert "\n" not in str(copy)


def live_workers() -> int:
    return len(multiprocessing.active_children())


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_pool_serves_in_order_and_is_reused_and_closed(tmp_path, workers):
    paths = write_images(tmp_path, 9)
    decoder = BatchDecoder(24, True, 28)
    requests = [cropped(paths[start : start + 2].tolist(), 1, 1, 0, start) for start in range(0, 9, 2)]
    expected = [decoder[request] for request in requests]
    pool = DecoderPool(decoder, workers, pin_memory=False)
    before, state = live_workers(), global_random_state()
    for _ in range(2):
        served = list(pool.run(requests))
        assert len(served) == 5
        assert all(torch.equal(one, other) for one, other in zip(served, expected, strict=True))
    assert live_workers() == before + workers
    unfinished = pool.run(requests)
    next(unfinished)
    assert torch.equal(next(pool.run(requests)), expected[0])
    with pytest.raises(RuntimeError, match="this run has ended"):
        next(unfinished)
    assert global_random_state() == state
    pool.close()
    deadline = time.monotonic() + 10
    while live_workers() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert live_workers() == before
    pool.close()
    assert torch.equal(next(pool.run(requests)), expected[0])
    pool.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_file_stops_the_pool_with_the_plain_error(tmp_path, workers):
    path = broken_files(tmp_path)[0]
    good = BatchRequest([str(tmp_path / "good.jpg")], None)
    pool = DecoderPool(BatchDecoder(24, False, 28), workers, pin_memory=False)
    before = live_workers()
    run = pool.run([good, BatchRequest([str(path)], None), good])
    assert next(run).shape == (1, 3, 24, 24)
    with pytest.raises(DataError) as caught:
        next(run)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert live_workers() <= before


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGBUS])
def test_a_killed_worker_is_one_line_with_advice(tmp_path, signum):
    paths = write_images(tmp_path, 9).tolist()
    pool = DecoderPool(BatchDecoder(24, True, 28), 2, pin_memory=False)
    before = set(multiprocessing.active_children())
    run = pool.run(cropped(paths, 1, 1, 0, step) for step in range(10_000))
    next(run)
    victim = next(iter(set(multiprocessing.active_children()) - before))
    os.kill(victim.pid, signum)
    with pytest.raises(WorkerDied) as caught:
        for _ in run:
            pass
    message = str(caught.value)
    assert f"by signal {signum.value}" in message
    for advice in ("dataset.num_workers lower (now 2", "batch size", "/dev/shm"):
        assert advice in message
    assert "\n" not in message
    assert len(next(pool.run([BatchRequest(paths[:2], None)]))) == 2, "a later run starts new workers"
    pool.close()


class _Faulty(BatchDecoder):
    def __getitem__(self, request):
        raise RuntimeError("a fault of the program")


def test_a_fault_inside_a_worker_is_not_taken_for_its_death(tmp_path):
    pool = DecoderPool(_Faulty(24, False, 28), 1, pin_memory=False)
    with pytest.raises(RuntimeError, match="a fault of the program"):
        next(pool.run([BatchRequest([], None)]))
    pool.close()
