"""Presets of loss=ant_adaptive and choices by split, however the split is spelt."""

import pytest

from cil.config.presets import if_split, split_name
from tests.planning.helpers import one


@pytest.fixture(autouse=True)
def _data_is_there(monkeypatch):
    monkeypatch.setattr("cil.data.sources.locate", lambda cfg: None)


@pytest.mark.parametrize(
    ("split", "name"),
    [
        ({"base": 50, "increment": 10, "sizes": None}, "50-10"),
        ({"base": None, "increment": None, "sizes": None}, ""),
        ({"base": 2, "increment": 2, "sizes": [50, 10, 10]}, "50-10"),
        ({"base": 2, "increment": 2, "sizes": [5, 3, 2]}, ""),
        ({"base": 2, "increment": 2, "sizes": [5]}, ""),
    ],
)
def test_split_name(split, name):
    assert split_name(split) == name
    assert if_split(split, "50-10", "yes", "no") == ("yes" if name == "50-10" else "no")


def margins(config):
    """Start, target and end of the effective schedule."""
    return config.ant_margin, config.margin_schedule.target_margin, config.margin_schedule.end_epoch


CASES = [
    (["dataset=cifar100"], (0.1, 0.4, 120)),
    (["dataset=cifar100", "split.base=10", "split.increment=10"], (0.1, 0.4, 120)),
    (["dataset=cifar100", "split=50-10"], (0.1, 0.3, 100)),
    (["dataset=cifar100", "split.base=50"], (0.1, 0.3, 100)),
    (["dataset=cifar100", "split=5-5"], (0.1, 0.5, None)),
    (["dataset=imagenet100", "split=10-10"], (0.15, 0.5, 100)),
    (["dataset=imagenet100", "split=50-10"], (0.15, 0.45, 100)),
    (["dataset=tiny_imagenet", "split=10-10"], (0.1, 0.5, None)),
    ([], (0.1, 0.5, None)),
]


@pytest.mark.parametrize(("arguments", "expected"), CASES, ids=[" ".join(case[0]) for case in CASES])
def test_presets(arguments, expected):
    config = one(*arguments, "loss=ant_adaptive").config
    assert margins(config) == expected
    assert config.margin_schedule.start_epoch == 0


def test_presets_are_for_ant_adaptive_only():
    assert margins(one("dataset=cifar100", "loss=ant_adaptive_gap").config) == (0.1, 0.5, None)
    assert one("dataset=imagenet100", "loss=ant").config.ant_margin == 0.1


def test_presets_can_be_overridden():
    adaptive = ["dataset=imagenet100", "loss=ant_adaptive"]
    assert margins(one(*adaptive, "margin_schedule.target_margin=0.6", "ant_margin=0.2").config) == (0.2, 0.6, 100)
    assert margins(one(*adaptive, "margin_schedule.initial_margin=0.3").config) == (0.3, 0.5, 100)
