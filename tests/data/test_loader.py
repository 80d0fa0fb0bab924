import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from cil.config.schema import AugmentConfig, AutoAugmentPolicy, DatasetConfig
from cil.data.augment import Augmenter
from cil.data.base import ImageSet, RawDataset
from cil.data.device_loader import make_loader
from cil.data.loader import BatchLoader, DecodingLoader, ResidentLoader, TrainBatch
from cil.data.views import EpochKey
from cil.errors import ConfigError, DataError
from cil.seeding import generator
from tests.data.image_files import write_images
from tests.data.random_state import global_random_state

CPU = torch.device("cpu")
FULL = {"flip": True, "brightness": 0.2, "auto_augment": AutoAugmentPolicy.cifar10, "cutout": 4}
SIZE = 16


def pixels(count: int, key: str) -> np.ndarray:
    shape = (count, 3, SIZE, SIZE)
    return torch.randint(0, 256, shape, generator=generator(1, key), dtype=torch.uint8).numpy()


def in_memory(val: bool = False) -> RawDataset:
    train, test = (ImageSet(np.arange(n) % 3, pixels=pixels(n, key)) for n, key in ((40, "train"), (11, "test")))
    held_out = ImageSet(np.arange(4) % 3, pixels=pixels(4, "val")) if val else None
    return RawDataset("memory", ("a", "b", "c"), train, test, held_out)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> RawDataset:
    folders = [tmp_path_factory.mktemp(name) for name in ("train", "test")]
    train, test = (write_images(folder, count) for folder, count in zip(folders, (40, 7), strict=True))
    return RawDataset("files", ("a", "b"), ImageSet(np.zeros(40, int), paths=train), ImageSet(np.ones(7), paths=test))


def loader(raw: RawDataset, workers: int = 0, **changes) -> BatchLoader:
    kind = {"resized_crop": True} if raw.train.pixels is None else {"crop_padding": 2}
    return make_loader(
        raw, AugmentConfig(**(FULL | kind | changes)), DatasetConfig(image_size=SIZE, num_workers=workers), CPU
    )


CHOSEN = np.array([3, 30, 5, 17, 2, 21, 9, 11, 38])
TARGETS = np.array([0, 1, 2, 0, 1, 2, 5, 4, 3])


FIRST = EpochKey(1, 1, 0)


def epoch(source: BatchLoader, key: EpochKey = FIRST, size: int = 4, start_step: int = 0) -> list[TrainBatch]:
    return list(source.train_batches(CHOSEN, TARGETS, size, key, start_step))


def same(first: list[TrainBatch], second: list[TrainBatch]) -> bool:
    return len(first) == len(second) and all(
        torch.equal(one.views, other.views)
        and torch.equal(one.indices, other.indices)
        and torch.equal(one.targets, other.targets)
        for one, other in zip(first, second, strict=True)
    )


@pytest.fixture(params=["memory", "files", "files_without_crops"])
def source(request, files) -> BatchLoader:
    if request.param == "memory":
        return loader(in_memory())
    return loader(files, resized_crop=request.param == "files")


def test_an_epoch_holds_every_image_once_with_its_target_and_keeps_a_tail_of_one(source):
    batches = epoch(source)
    assert [len(batch.indices) for batch in batches] == [4, 4, 1]
    indices = torch.cat([batch.indices for batch in batches]).tolist()
    targets = torch.cat([batch.targets for batch in batches]).tolist()
    assert sorted(indices) == sorted(CHOSEN.tolist())
    assert indices != CHOSEN.tolist()
    assert dict(zip(indices, targets, strict=True)) == dict(zip(CHOSEN.tolist(), TARGETS.tolist(), strict=True))
    for batch in batches:
        assert batch.views.shape == (2 * len(batch.indices), 3, SIZE, SIZE)
        assert batch.views.dtype == torch.float32
        assert batch.targets.dtype == batch.indices.dtype == torch.int64


def test_the_two_views_differ(source):
    views = epoch(source, size=9)[0].views
    differing = (views[:9] != views[9:]).flatten(1).any(1)
    assert differing.sum() >= 8


def test_batches_depend_on_seed_task_epoch_and_step_only(source):
    first = epoch(source)
    assert same(first, epoch(source))
    for key in (EpochKey(2, 1, 0), EpochKey(1, 2, 0), EpochKey(1, 1, 1)):
        other = epoch(source, key)
        assert not torch.equal(
            torch.cat([batch.indices for batch in first]), torch.cat([batch.indices for batch in other])
        )
        assert not torch.equal(first[0].views, other[0].views)


def test_starting_late_gives_exactly_the_tail(source):
    batches = epoch(source)
    for start in range(4):
        assert same(epoch(source, start_step=start), batches[start:])


def test_starting_late_reads_no_skipped_image(files, tmp_path):
    paths = files.train.paths.astype(object)
    skipped = epoch(loader(files))[0].indices.numpy()
    paths[skipped] = str(tmp_path / "missing.jpg")
    raw = RawDataset("files", files.classes, ImageSet(files.train.labels, paths=paths), files.test)
    assert same(epoch(loader(raw), start_step=1), epoch(loader(files))[1:])
    with pytest.raises(DataError, match=r"missing\.jpg"):
        epoch(loader(raw))


def test_no_global_random_state_is_touched(source):
    state = global_random_state()
    epoch(source)
    list(source.eval_batches("test", np.arange(7), 3))
    assert global_random_state() == state


def test_mismatched_targets_are_refused(source):
    with pytest.raises(ValueError, match="9 indices but 8 targets"):
        list(source.train_batches(CHOSEN, TARGETS[:-1], 4, EpochKey(1, 1, 0)))


def test_an_empty_selection_gives_no_batch(source):
    none = np.array([], dtype=np.int64)
    assert list(source.train_batches(none, none, 4, EpochKey(1, 1, 0))) == []
    assert list(source.eval_batches("test", none, 4)) == []


def test_a_resident_batch_is_the_augmenter_applied_to_the_gathered_pixels():
    raw = in_memory()
    cfg = AugmentConfig(**FULL, crop_padding=2)
    batch = epoch(ResidentLoader(raw, cfg, SIZE, CPU), EpochKey(8, 3, 5))[1]
    order = torch.randperm(9, generator=generator(8, "order", 3, 5)).numpy()[4:8]
    assert batch.indices.tolist() == CHOSEN[order].tolist()
    images = torch.from_numpy(raw.train.pixels[CHOSEN[order]])
    augmenter = Augmenter(cfg, SIZE)
    draws = augmenter.draw(8, generator(8, "augment", 3, 5, 1))
    assert torch.equal(batch.views, augmenter.train(torch.cat([images, images]), draws))


def test_evaluation_is_in_order_and_only_normalised():
    raw = in_memory(val=True)
    source = loader(raw)
    for split, images in (("train", raw.train), ("test", raw.test), ("val", raw.val)):
        indices = np.array([3, 0, 2, 1, 0])
        batches = list(source.eval_batches(split, indices, 2))
        assert [len(batch) for batch in batches] == [2, 2, 1]
        expected = (torch.from_numpy(images.pixels[indices]).double() / 255 - 0.5) / 0.5
        torch.testing.assert_close(torch.cat(batches).double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("raw_name", ["memory", "files"])
def test_a_missing_subset_is_refused(raw_name, files):
    source = loader(in_memory() if raw_name == "memory" else files)
    with pytest.raises(ValueError, match="no subset 'val'"):
        list(source.eval_batches("val", np.arange(2), 2))


def test_resident_pixels_are_never_changed_even_read_only_ones(recwarn):
    raw = in_memory()
    raw.train.pixels.flags.writeable = False
    before = raw.train.pixels.copy(), raw.test.pixels.copy()
    source = loader(raw)
    epoch(source)
    list(source.eval_batches("test", np.arange(11), 4))
    assert np.array_equal(raw.train.pixels, before[0])
    assert np.array_equal(raw.test.pixels, before[1])
    assert not [warning for warning in recwarn if "writable" in str(warning.message)]


def test_a_resident_step_reads_nothing_back_from_the_device():
    # A meta tensor has a shape and no values: reading one, or a shape that depends on one, is an error.
    source = make_loader(
        in_memory(), AugmentConfig(**FULL, crop_padding=2), DatasetConfig(image_size=SIZE), torch.device("meta")
    )
    batches = epoch(source)
    assert [len(batch.views) for batch in batches] == [8, 8, 2]
    assert batches[0].views.device == batches[0].targets.device == torch.device("meta")
    assert batches[0].indices.device == CPU
    assert [len(batch) for batch in source.eval_batches("test", np.arange(11), 6)] == [6, 5]


def test_any_number_of_workers_gives_the_same_batches(files):
    results = []
    for workers in (0, 1, 2):
        source = loader(files, workers)
        batches = epoch(source)
        # A second epoch, left in the middle by an evaluation, with the same workers.
        unfinished = source.train_batches(CHOSEN, TARGETS, 4, EpochKey(1, 1, 1))
        second = [next(unfinished)]
        evaluated = torch.cat(list(source.eval_batches("test", np.array([5, 1, 6, 0]), 3)))
        second += list(unfinished)
        source.close()
        results.append((batches + second, evaluated))
    assert results[0][1].shape == (4, 3, SIZE, SIZE)
    for batches, evaluated in results[1:]:
        assert same(batches, results[0][0])
        assert torch.equal(evaluated, results[0][1])


def test_more_workers_than_processors_are_neither_started_nor_warned_about(files, recwarn):
    source = loader(files, 500)
    list(source.eval_batches("test", np.arange(4), 2))
    assert len(multiprocessing.active_children()) <= (os.cpu_count() or 1)
    source.close()
    assert not [str(warning.message) for warning in recwarn if "worker" in str(warning.message)]


def test_evaluation_of_files_uses_test_resize(files):
    wide, tight = (loader(files, test_resize=side) for side in (SIZE, 40))
    first, second = (next(iter(one.eval_batches("test", np.arange(2), 2))) for one in (wide, tight))
    assert first.shape == second.shape
    assert not torch.equal(first, second)
    default = next(iter(loader(files).eval_batches("test", np.arange(2), 2)))
    explicit = next(iter(loader(files, test_resize=18).eval_batches("test", np.arange(2), 2)))
    assert torch.equal(default, explicit)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_jpeg_is_a_data_error_naming_it(files, tmp_path, workers):
    broken = Path(tmp_path / "broken.jpg")
    broken.write_bytes(Path(files.train.paths[0]).read_bytes()[:-200])
    paths = np.array([*files.train.paths[:3], str(broken)])
    raw = RawDataset("files", ("a",), ImageSet(np.zeros(4), paths=paths), files.test)
    source = loader(raw, workers)
    with pytest.raises(DataError) as caught:
        list(source.train_batches(np.arange(4), np.zeros(4, np.int64), 2, EpochKey(1, 1, 0)))
    source.close()
    assert "broken.jpg" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_make_loader_chooses_by_what_the_data_set_holds(files):
    assert isinstance(loader(in_memory()), ResidentLoader)
    assert isinstance(loader(files), DecodingLoader)


@pytest.mark.parametrize(
    ("changes", "size", "message"),
    [
        ({"resized_crop": True}, SIZE, "augment.resized_crop needs image files"),
        ({}, 24, "dataset.image_size=24.*16x16"),
    ],
)
def test_settings_that_do_not_fit_pixels_in_memory_are_refused(changes, size, message):
    with pytest.raises(ConfigError, match=message):
        make_loader(in_memory(), AugmentConfig(**changes), DatasetConfig(image_size=size), CPU)


def test_a_test_resize_below_the_image_size_is_refused(files):
    with pytest.raises(ConfigError, match=r"augment\.test_resize=10 is less than dataset\.image_size=16"):
        loader(files, test_resize=10)
