"""Dispatch by name, holdout and limits, and what is imported for a mere configuration check."""

import subprocess
import sys

import numpy as np
import pytest

from cil.config.schema import DatasetConfig
from cil.data.sources import available, load_dataset, locate
from cil.errors import ConfigError, DataError
from tests.data.sources.trees import write_image, write_tree


@pytest.fixture
def tree(tmp_path):
    """Class a has 6 train images, class b 4, both 3 in val."""
    write_tree(tmp_path, {"train": 4, "val": 3}, ["a", "b"])
    for i in (4, 5):
        write_image(tmp_path / "train" / "a" / f"{i:03d}.png", value=90 + i)
    return tmp_path


def load(tree, **keys):
    return load_dataset(DatasetConfig(source="image_folder", root=str(tree), image_size=224, **keys))


def files(images):
    return [(path.split("/")[-2] + path[-5]) for path in images.paths]


def test_holdout_first_then_limits(tree):
    raw = load(tree, holdout_per_class=2, max_train_per_class=3, max_test_per_class=1)
    assert files(raw.train) == ["a0", "a1", "a2", "b0", "b1"]
    assert files(raw.val) == ["a4", "a5", "b2", "b3"]
    assert files(raw.test) == ["a0", "b0"]
    assert raw.val.labels.tolist() == [0, 0, 1, 1]


def test_limits_alone(tree):
    raw = load(tree, max_train_per_class=1)
    assert (files(raw.train), raw.val, len(raw.test)) == (["a0", "b0"], None, 6)
    assert len(load(tree, max_train_per_class=100).train) == 10


def test_cuts_keep_the_order_of_interleaved_classes():
    whole, cut = load_dataset(DatasetConfig()), load_dataset(DatasetConfig(max_train_per_class=3, holdout_per_class=5))
    seen = dict.fromkeys(range(10), 0)
    expected = []
    for row, label in enumerate(whole.train.labels.tolist()):
        seen[label] += 1
        if seen[label] <= 3:
            expected.append(row)
    np.testing.assert_array_equal(cut.train.pixels, whole.train.pixels[expected])
    np.testing.assert_array_equal(cut.train.labels, whole.train.labels[expected])
    zeros = whole.train.pixels[whole.train.labels == 0]
    np.testing.assert_array_equal(cut.val.pixels[cut.val.labels == 0], zeros[-5:])


@pytest.mark.parametrize("count", [0, -1, 4, 5])
def test_impossible_holdout(tree, count):
    with pytest.raises(ConfigError, match=rf"dataset\.holdout_per_class: {count}, but class b has 4.*valid: 1 to 3"):
        load(tree, holdout_per_class=count)


@pytest.mark.parametrize("key", ["max_train_per_class", "max_test_per_class"])
def test_impossible_limit(tree, key):
    with pytest.raises(ConfigError, match=rf"dataset\.{key}: 0; valid: 1 or more"):
        load(tree, **{key: 0})


def test_unknown_source_names_the_valid_ones():
    assert {"cifar", "digits", "image_folder"} <= set(available())
    with pytest.raises(ConfigError, match=r"dataset\.source: 'cifr' is unknown; did you mean cifar\? valid: .*digits"):
        locate(DatasetConfig(source="cifr"))
    with pytest.raises(ConfigError, match="is unknown"):
        locate(DatasetConfig(source="_folders"))


def test_system_errors_name_the_path(monkeypatch):
    def refuse(cfg):
        raise PermissionError(13, "Permission denied", "/secret/train")

    for name in ("locate", "load"):
        monkeypatch.setattr(f"cil.data.sources.digits.{name}", refuse)
    with pytest.raises(ConfigError, match=r"^dataset\.root: /secret/train: Permission denied$"):
        locate(DatasetConfig())
    with pytest.raises(DataError, match=r"^/secret/train: Permission denied$"):
        load_dataset(DatasetConfig())


def test_configuration_checks_and_decoding_need_no_torch(tree):
    program = f"""
import sys
from cil.config.schema import DatasetConfig, SplitConfig
from cil.data import memory, stream
from cil.data.sources import count_classes, load_dataset, locate
for cfg in (DatasetConfig(), DatasetConfig(source="image_folder", root={str(tree)!r}, image_size=8)):
    locate(cfg)
    count_classes(cfg)
count_classes(DatasetConfig(name="cifar100", source="cifar"))
stream.task_sizes(SplitConfig(), 10)
stream.class_order("pycil", 0, 10)
assert "sklearn" not in sys.modules, "sklearn"
load_dataset(cfg)
assert "torch" not in sys.modules, "torch"
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
