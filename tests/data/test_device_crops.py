"""Crops of many images at once: the very integers that torch gives for each, and the loader made of them."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from cil.config.schema import AugmentConfig, CropResampling, DatasetConfig
from cil.data.crops import cut_pillow, cut_torch, random_boxes
from cil.data.device_crops import crops
from cil.data.device_loader import DevicePackLoader, make_loader
from cil.data.loader import DecodingLoader
from cil.data.sources import load_dataset
from cil.data.views import EpochKey
from cil.seeding import generator
from tests.data.image_files import smooth_image
from tests.data.packs import SIDE, files, make_pack, write_jpegs
from tests.data.pictures import pictures

CPU = torch.device("cpu")
CHOSEN = np.array([3, 17, 5, 12, 2, 11, 9, 0, 19])
TARGETS = np.arange(9)
KEY = EpochKey(4, 2, 1)


def images(shapes) -> list[np.ndarray]:
    """One awkward picture of each shape (height, width): uint8 [H, W, 3]."""
    made = [pictures(6, height, width, f"crops{n}")[n % 6] for n, (height, width) in enumerate(shapes)]
    return [np.ascontiguousarray(one.permute(1, 2, 0).numpy()) for one in made]


def cut_all(made, boxes, size) -> torch.Tensor:
    flat = torch.from_numpy(np.concatenate([one.ravel() for one in made]))
    sizes = np.array([one.size for one in made])
    starts = torch.from_numpy(np.cumsum(sizes) - sizes)
    widths = torch.tensor([one.shape[1] for one in made])
    return crops(flat, starts, widths, torch.tensor(boxes), size)


@pytest.mark.parametrize("size", [24, 72, 224])
def test_every_crop_is_the_one_of_torch(size):
    g = generator(3, "shapes", size)
    shapes = torch.randint(20, 400, (36, 2), generator=g).tolist()
    made = images(shapes)
    boxes = [random_boxes(width, height, (size, 0, 0, 0, n), 1)[0] for n, (height, width) in enumerate(shapes)]
    boxes[0] = (0, 0, shapes[0][1], shapes[0][0])
    boxes[1] = (5, 6, 6, 7)
    boxes[2] = (0, 1, size, 1 + size) if min(shapes[2]) > size else boxes[2]
    ours = cut_all(made, boxes, size)
    for one, box, found in zip(made, boxes, ours, strict=True):
        expected = torch.empty((3, size, size), dtype=torch.uint8)
        cut_torch(one, box, expected)
        assert torch.equal(found, expected)


def test_the_resampling_is_at_most_one_level_from_pillows():
    for number, one in enumerate(images([(256, 341), (300, 256), (256, 256), (90, 70)])):
        box = random_boxes(one.shape[1], one.shape[0], (1, 1, 1, 1, number), 1)[0]
        ours, pillows = torch.empty((2, 3, 72, 72), dtype=torch.uint8)
        cut_torch(one, box, ours)
        cut_pillow(one, box, pillows)
        assert (ours.int() - pillows.int()).abs().max() <= 1


def test_nothing_is_read_back_from_the_device():
    # A meta tensor has a shape and no values: reading one is an error.
    flat = torch.empty(3 * 90 * 80, dtype=torch.uint8, device="meta")
    places = torch.empty(2, dtype=torch.int64, device="meta")
    assert crops(flat, places, places, torch.tensor([[0, 0, 50, 40], [5, 6, 70, 80]]), 24).shape == (2, 3, 24, 24)


def test_no_crop_gives_none():
    assert cut_all(images([(30, 30)]), torch.empty((0, 4), dtype=torch.int64).tolist(), 8).shape == (0, 3, 8, 8)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write_jpegs(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def raw(tree, tmp_path_factory):
    out = tmp_path_factory.mktemp("packs") / "pack"
    make_pack(tree, out, side=2 * SIDE)
    return load_dataset(files(out, pack_side=2 * SIDE))


AUGMENT = AugmentConfig(resized_crop=True, crop_resampling=CropResampling.torch, flip=True, brightness=0.2)


def workers(raw, count=0, augment=AUGMENT, size=72):
    return DecodingLoader(raw, augment, size, CPU, count)


def on_device(raw, budget=1e9, augment=AUGMENT):
    return DevicePackLoader(raw.train.packed, augment, 72, workers(raw, augment=augment), budget)


def epoch(source, start_step=0, views=2, chosen=CHOSEN):
    return list(source.train_batches(chosen, TARGETS, 4, KEY, start_step, views))


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.views, other.views)
        assert torch.equal(one.targets, other.targets)
        assert torch.equal(one.indices, other.indices)


@pytest.mark.parametrize("resampling", list(CropResampling))
def test_any_number_of_workers_cuts_the_same_batches_from_a_pack(raw, resampling):
    augment = AugmentConfig(resized_crop=True, crop_resampling=resampling, flip=True)
    results = []
    for count in (0, 1, 2):
        source = workers(raw, count, augment)
        results.append((epoch(source), torch.cat(list(source.eval_batches("test", np.array([5, 1, 6]), 2)))))
        source.close()
    for batches, evaluated in results[1:]:
        assert_same(batches, results[0][0])
        assert torch.equal(evaluated, results[0][1])


@pytest.mark.parametrize("bank", [None, 3])
@pytest.mark.parametrize("views", [1, 2])
def test_the_device_cuts_the_batches_that_workers_cut(raw, views, bank):
    augment = replace(AUGMENT, view_bank=bank)
    source, expected = on_device(raw, augment=augment), epoch(workers(raw, augment=augment), views=views)
    assert_same(epoch(source, views=views), expected)
    assert_same(epoch(source, start_step=1, views=views), expected[1:])


@pytest.mark.parametrize("resampling", list(CropResampling))
def test_a_pack_of_images_that_need_no_resizing_gives_the_batches_of_the_files(tmp_path, resampling):
    for split in ("train", "val"):
        (tmp_path / "tree" / split / "ant").mkdir(parents=True)
        for n in range(9):
            smooth_image(n, 90 if n % 2 else 80, 80 if n % 2 else 99).save(tmp_path / f"tree/{split}/ant/{n}.jpg")
    make_pack(tmp_path / "tree", tmp_path / "pack", side=80)
    augment = AugmentConfig(resized_crop=True, crop_resampling=resampling, test_resize=80, flip=True)
    sources = [
        workers(load_dataset(files(tmp_path / name, pack_side=side)), augment=augment)
        for name, side in (("tree", None), ("pack", 80))
    ]
    assert_same(*(epoch(source, chosen=np.arange(9)) for source in sources))
    ours, theirs = (torch.cat(list(source.eval_batches("test", np.arange(9), 4))) for source in sources)
    assert torch.equal(ours, theirs)


def test_images_that_do_not_fit_are_left_to_workers_and_those_of_the_next_task_replace_them(raw, caplog):
    caplog.set_level(logging.INFO, logger="cil")
    sizes = raw.train.packed.sizes
    source = on_device(raw, budget=float(sizes[CHOSEN].sum()))
    assert_same(epoch(source), epoch(workers(raw)))
    assert "9 images of 0.00 GB are in the device's memory" in caplog.messages[-1]
    others = np.array([1, 4, 6, 7, 8, 10, 13, 14, 15])
    assert_same(epoch(source, chosen=others), epoch(workers(raw), chosen=others))
    tight = on_device(raw, budget=float(sizes[CHOSEN].sum()) - 1)
    assert_same(epoch(tight), epoch(workers(raw)))
    assert "are more than dataset.resident_gb" in caplog.messages[-1]


def test_a_task_that_does_not_fit_leaves_nothing_on_the_device_and_is_told_once(raw, caplog):
    caplog.set_level(logging.INFO, logger="cil")
    source = on_device(raw, budget=float(raw.train.packed.sizes[CHOSEN].sum()))
    epoch(source)
    more = np.append(CHOSEN, 1)
    for _ in range(2):
        list(source.train_batches(more, np.arange(10), 4, KEY))
    assert source._flat.numel() == 0
    assert len(caplog.messages) == 2
    assert_same(epoch(source), epoch(workers(raw)))


def test_a_part_of_what_is_held_is_not_copied_again(raw, caplog):
    caplog.set_level(logging.INFO, logger="cil")
    source = on_device(raw)
    epoch(source)
    list(source.train_batches(CHOSEN[:4], TARGETS[:4], 4, KEY))
    assert len(caplog.messages) == 1


def test_an_evaluation_is_that_of_the_workers(raw):
    indices = np.array([5, 0, 3])
    ours, theirs = (torch.cat(list(one.eval_batches("test", indices, 2))) for one in (on_device(raw), workers(raw)))
    assert torch.equal(ours, theirs)


def test_on_a_cpu_workers_read_the_pack(raw):
    cfg = DatasetConfig(image_size=72, num_workers=0, resident_gb=1.0, pack_side=80)
    assert isinstance(make_loader(raw, AUGMENT, cfg, CPU), DecodingLoader)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_gpu_cuts_the_same_pixels(raw):
    shapes = [(256, 341), (300, 256), (256, 256), (90, 70)]
    made = images(shapes)
    boxes = [random_boxes(width, height, (1, 1, 1, 1, n), 1)[0] for n, (height, width) in enumerate(shapes)]
    flat = torch.from_numpy(np.concatenate([one.ravel() for one in made]))
    sizes = np.array([one.size for one in made])
    starts, widths = torch.from_numpy(np.cumsum(sizes) - sizes), torch.tensor([width for _, width in shapes])
    found = crops(flat.cuda(), starts.cuda(), widths.cuda(), torch.tensor(boxes), 224)
    assert torch.equal(found.cpu(), cut_all(made, boxes, 224))
