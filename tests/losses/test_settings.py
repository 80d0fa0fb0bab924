from dataclasses import fields

import pytest

from cil.config.schema import LossConfig
from cil.errors import ConfigError
from cil.losses.settings import LossSettings


def test_settings_have_every_key_but_the_name():
    assert {field.name for field in fields(LossSettings)} == {field.name for field in fields(LossConfig)} - {"name"}


def test_values_are_taken_over_and_nulls_filled_in():
    settings = LossSettings.of(LossConfig(temperature=0.5, ant_beta=0.0, topk=None))
    assert (settings.temperature, settings.ant_beta, settings.topk) == (0.5, 0.0, 32)
    assert settings.hard_negative_ratio is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("temperature", 0.0),
        ("temperature", float("nan")),
        ("softplus_tau", -0.1),
        ("topk", 0),
        ("nce_alpha", -1.0),
        ("ant_beta", -1.0),
        ("gap_beta", -1.0),
        ("hard_negative_ratio", 0.0),
        ("hard_negative_ratio", 1.1),
    ],
)
def test_values_out_of_range_are_refused_by_name(key, value):
    with pytest.raises(ConfigError, match=rf"loss\.{key}"):
        LossSettings.of(LossConfig(**{key: value}))
