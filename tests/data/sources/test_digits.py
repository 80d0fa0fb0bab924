"""The digits: real, fixed split, whole range of values."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from cil.config.schema import DatasetConfig
from cil.data.sources import count_classes, load_dataset, locate
from cil.errors import ConfigError


def test_split_is_the_last_quarter_of_each_class():
    raw = load_dataset(DatasetConfig())
    published = load_digits()
    scaled = np.rint(published.images * 255 / 16).astype(np.uint8)
    for label in range(10):
        rows = np.flatnonzero(published.target == label)
        cut = len(rows) - len(rows) // 4
        for images, expected in ((raw.train, rows[:cut]), (raw.test, rows[cut:])):
            found = images.pixels[images.labels == label]
            for channel in range(3):
                np.testing.assert_array_equal(found[:, channel], scaled[expected])


def test_shapes_types_and_range():
    raw = load_dataset(DatasetConfig())
    assert raw.classes == tuple("0123456789")
    assert (len(raw.train), len(raw.test), raw.val) == (1352, 445, None)
    assert raw.train.pixels.shape == (1352, 3, 8, 8)
    assert raw.train.pixels.dtype == np.uint8
    assert raw.train.labels.dtype == np.int64
    assert (raw.train.pixels.min(), raw.train.pixels.max()) == (0, 255)


def test_resized():
    assert load_dataset(DatasetConfig(image_size=16)).test.pixels.shape == (445, 3, 16, 16)


@pytest.mark.parametrize(
    ("keys", "match"),
    [
        ({"image_size": 224}, r"dataset\.image_size: 224"),
        ({"class_list": "x.txt"}, r"dataset\.class_list"),
        ({"classes": 9}, r"dataset\.classes: 9"),
    ],
)
def test_keys_that_do_not_fit(keys, match):
    with pytest.raises(ConfigError, match=match):
        locate(DatasetConfig(**keys))


def test_counted_without_reading():
    assert count_classes(DatasetConfig()) == 10
