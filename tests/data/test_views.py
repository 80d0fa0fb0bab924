"""`augment.view_bank`: an image's views are its own, and come again every k epochs."""

import numpy as np
import pytest
import torch

from cil.data.loader import BatchLoader
from cil.data.views import EpochKey
from cil.distributed.share import Share
from tests.data.test_loader import CHOSEN, TARGETS, files, in_memory, loader

assert files  # a fixture
PAIRS = 3


@pytest.fixture(params=["memory", "files", "files_without_crops"])
def source(request, files) -> BatchLoader:
    if request.param == "memory":
        return loader(in_memory(), view_bank=PAIRS)
    return loader(files, resized_crop=request.param == "files", view_bank=PAIRS)


def views_of(source: BatchLoader, key: EpochKey, size: int = 4, chosen: np.ndarray = CHOSEN, **options):
    """Image -> its views [views, 3, H, W]."""
    found = {}
    for batch in source.train_batches(chosen, TARGETS[: len(chosen)], size, key, **options):
        shared = batch.indices[options.get("share", Share()).rows(len(batch.indices))]
        if not len(shared):  # a process without an image of the last batch
            continue
        for image, views in zip(shared.tolist(), batch.views.unflatten(0, (-1, len(shared))).unbind(1), strict=True):
            found[image] = views
    return found


def all_equal(first: dict, second: dict) -> bool:
    assert first.keys() == second.keys()
    return all(torch.equal(first[image], second[image]) for image in first)


def none_equal(first: dict, second: dict) -> bool:
    return not any(torch.equal(first[image], second[image]) for image in first)


def test_a_pair_comes_again_whatever_the_order_and_the_batches(source):
    first = views_of(source, EpochKey(1, 2, 0))
    assert all_equal(first, views_of(source, EpochKey(1, 2, PAIRS)))
    assert all_equal(first, views_of(source, EpochKey(1, 2, 4 * PAIRS), size=5))
    some = views_of(source, EpochKey(1, 2, 0), chosen=CHOSEN[[6, 2]])
    assert all_equal({image: first[image] for image in some}, some)


def test_the_order_of_images_is_that_of_the_epoch(source):
    keys = [EpochKey(1, 2, 0), EpochKey(1, 2, PAIRS)]
    orders = [[b.indices.tolist() for b in source.train_batches(CHOSEN, TARGETS, 4, key)] for key in keys]
    assert orders[0] != orders[1]


def test_views_differ_between_pairs_tasks_seeds_and_the_two_of_a_pair(source):
    first = views_of(source, EpochKey(1, 2, 0))
    for key in (EpochKey(1, 2, 1), EpochKey(1, 2, 2), EpochKey(1, 1, 0), EpochKey(2, 2, 0)):
        assert none_equal(first, views_of(source, key)), key
    assert not any(torch.equal(*views) for views in first.values())


def test_what_is_no_epoch_of_training_has_views_of_its_own(source):
    training = [views_of(source, EpochKey(1, 2, epoch)) for epoch in range(PAIRS)]
    for probe in (-1, -2):
        assert all(none_equal(views_of(source, EpochKey(1, 2, probe)), seen) for seen in training)


def test_one_view_is_the_first_of_the_two(source):
    both, one = (views_of(source, EpochKey(1, 2, 1), views=count) for count in (2, 1))
    assert all_equal({image: views[:1] for image, views in both.items()}, one)


def test_processes_make_the_rows_of_one(source):
    whole, parts = views_of(source, EpochKey(1, 2, 1)), {}
    for rank in range(3):
        parts |= views_of(source, EpochKey(1, 2, 1), share=Share(rank, 3))
    assert all_equal(whole, parts)


def test_without_a_bank_no_views_come_again():
    source = loader(in_memory())
    assert none_equal(views_of(source, EpochKey(1, 2, 0)), views_of(source, EpochKey(1, 2, 3)))
