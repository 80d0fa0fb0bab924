import math

import pytest

from cil.config.schema import MarginScheduleConfig, ScheduleName, ScheduleUnit
from cil.errors import ConfigError
from cil.losses.margins import MarginSchedule


def schedule(name: str, start: float | None = 0.1, **keys: object) -> MarginSchedule:
    return MarginSchedule(MarginScheduleConfig(name=ScheduleName[name], **keys), start)  # type: ignore[arg-type]


def margins(plan: MarginSchedule, epochs: int) -> list[float]:
    return [plan.margin(epoch, epochs) for epoch in range(epochs)]


def test_constant_never_moves():
    assert margins(schedule("constant", 0.25), 5) == [0.25] * 5


def test_linear_goes_from_start_to_target_over_the_task():
    assert margins(schedule("linear", target_margin=0.5), 4) == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_linear_between_two_epochs():
    plan = schedule("linear", target_margin=0.5, start_epoch=2, end_epoch=6)
    assert margins(plan, 9) == pytest.approx([0.1, 0.1, 0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5])


def test_linear_may_fall():
    assert margins(schedule("linear", 0.5, target_margin=0.1, end_epoch=2), 4) == pytest.approx([0.5, 0.3, 0.1, 0.1])


def test_cosine_is_half_a_period():
    plan = schedule("cosine", target_margin=0.5, end_epoch=4)
    wanted = [0.5 - 0.4 * (1 + math.cos(math.pi * x / 4)) / 2 for x in range(5)]
    assert margins(plan, 5) == pytest.approx(wanted)
    assert wanted[0] == pytest.approx(0.1)
    assert wanted[2] == pytest.approx(0.3)


def test_initial_margin_wins_over_the_start():
    assert schedule("linear", 0.1, initial_margin=0.2).margin(0, 10) == 0.2
    assert schedule("constant", 0.1, initial_margin=0.2).margin(0, 10) == 0.1


def test_null_keys_take_the_defaults_of_the_schema():
    plan = schedule("linear", target_margin=None, start_epoch=None)
    assert plan.margin(5, 10) == pytest.approx(0.3)


def test_curriculum_takes_the_last_stage_that_has_begun():
    plan = schedule("curriculum", None, epochs=[0, 2, 5], margins=[0.1, 0.3, 0.6])
    assert margins(plan, 7) == [0.1, 0.1, 0.3, 0.3, 0.3, 0.6, 0.6]


def test_curriculum_in_fractions_of_the_task():
    plan = schedule("curriculum", epochs=[0, 0.28, 0.5], margins=[0.1, 0.3, 0.6], unit=ScheduleUnit.fraction)
    values = margins(plan, 100)
    assert (values[27], values[28], values[49], values[50]) == (0.1, 0.3, 0.3, 0.6)
    assert margins(plan, 4) == [0.1, 0.1, 0.6, 0.6]


@pytest.mark.parametrize("name", ["constant", "linear", "cosine"])
def test_a_task_of_one_epoch_uses_the_start(name):
    assert margins(schedule(name), 1) == pytest.approx([0.1])


def test_a_start_beyond_the_task_never_moves():
    assert margins(schedule("linear", start_epoch=10), 5) == [0.1] * 5


@pytest.mark.parametrize("name", ["constant", "linear", "cosine", "curriculum"])
def test_the_gap_caps_the_margin(name):
    plan = schedule(name, 0.4, gap_ratio=0.8, target_margin=0.4, epochs=[0], margins=[0.4])
    assert plan.margin(1, 10, 0.25) == pytest.approx(0.2)
    assert plan.margin(1, 10, 0.9) == 0.4
    assert plan.margin(1, 10, -0.3) == 0
    assert plan.margin(1, 10, None) == 0.4
    assert plan.margin(1, 10, math.nan) == 0.4


def test_without_a_ratio_the_gap_does_not_matter():
    assert schedule("constant", 0.4).margin(1, 10, 0.1) == 0.4


@pytest.mark.parametrize(
    ("name", "keys", "named"),
    [
        ("linear", {"start_epoch": 5, "end_epoch": 5}, "end_epoch"),
        ("cosine", {"end_epoch": 0}, "end_epoch"),
        ("constant", {"start": None}, "ant_margin"),
        ("curriculum", {}, "epochs"),
        ("curriculum", {"epochs": [0, 5], "margins": [0.1]}, "margins"),
        ("curriculum", {"epochs": [1, 5], "margins": [0.1, 0.2]}, "epochs"),
        ("curriculum", {"epochs": [0, 5, 5], "margins": [0.1, 0.2, 0.3]}, "epochs"),
    ],
)
def test_impossible_schedules_are_refused_by_name(name, keys, named):
    with pytest.raises(ConfigError, match=named):
        schedule(name, **keys)
