"""The published AutoAugment operations against figures of the reference pipeline."""

import re

import numpy as np
import pytest
import torch

from cil.data.pillow_ops import PUBLISHED
from tests.data.pillow_reference import distance, ours
from tests.golden_files import golden

KEY = re.compile(r"([A-Za-z]+)_(\d+)_(plus|minus)")


@pytest.mark.golden
def test_every_operation_equals_the_reference():
    figures = np.load(golden("autoaugment.npz"))
    images = torch.from_numpy(figures["images"])
    keys = [key for key in figures.files if key != "images"]
    assert keys
    wrong, seen = [], set()
    for key in keys:
        match = KEY.fullmatch(key)
        assert match, key
        name, number, sign = match[1], int(match[2]), 1 if match[3] == "plus" else -1
        levels = distance(ours(images, name, number, sign), torch.from_numpy(figures[key]))
        seen.add(name)
        if levels.max() > 2 or (levels > 1).float().mean() > 0.001:
            wrong.append(f"{key}: {levels.max()} levels, more than one in {(levels > 1).float().mean():.2%}")
    assert not wrong
    assert seen <= set(PUBLISHED.operations)
