"""Which differences between two configurations mean anything."""

import pytest

from cil.report.settings import flatten, matches, parse_overrides, real_differences, short_name, unflatten
from tests.report.synthetic import CONFIG, INFONCE, config


def settings(**keys: object) -> dict:
    return flatten(config(**keys))


def test_flat_and_back() -> None:
    assert unflatten(flatten(CONFIG)) == CONFIG


def test_nulls_of_another_loss_follow_from_its_name() -> None:
    assert real_differences(settings(), settings(**INFONCE)) == ["loss.name"]
    adaptive = settings(margin_schedule__name="linear", margin_schedule__target_margin=0.5, ant_margin=0.2)
    assert real_differences(adaptive, settings(**INFONCE)) == ["loss.name"]


def test_a_target_of_a_gap_term_follows_from_its_weight() -> None:
    gap = settings(loss__gap_beta=0.5, loss__gap_target=0.7)
    assert real_differences(settings(), gap) == ["loss.gap_beta"]


@pytest.mark.parametrize(
    ("key", "value"),
    [("trainer.grad_clip_norm", 5.0), ("loss.hard_negative_ratio", 0.3), ("margin_schedule.gap_ratio", 0.8)],
)
def test_null_that_means_off_is_a_real_difference(key: str, value: float) -> None:
    assert real_differences(settings(), settings(**{key: value})) == [key]


def test_clipping_beside_another_loss_is_a_real_difference() -> None:
    both = real_differences(settings(), settings(trainer__grad_clip_norm=5.0, **INFONCE))
    assert both == ["loss.name", "trainer.grad_clip_norm"]


def test_numbers_that_are_equal_do_not_differ() -> None:
    assert real_differences(settings(loss__ant_beta=1), settings(loss__ant_beta=1.0)) == []


def test_short_names() -> None:
    keys = ["loss.name", "loss.gap_beta", "ant_margin", "a.x", "b.x"]
    assert [short_name(key, keys) for key in keys] == ["loss", "gap_beta", "ant_margin", "a.x", "b.x"]


def test_overrides_as_people_write_them() -> None:
    assert matches(settings(), parse_overrides("loss=ant, ant_margin=0.1 gap_beta=0 grad_clip_norm=null"))
    assert not matches(settings(), parse_overrides("loss=infonce"))
    assert not matches(settings(), parse_overrides("no_such_key=1"))
    with pytest.raises(ValueError, match="is not KEY=VALUE"):
        parse_overrides("loss")
