import numpy as np
import pytest

from cil.engine.metrics import AccuracyHistory, by_task, forgetting, headline, kinds, mean

HEADS = ("classifier", "nme", "student")
KINDS = kinds(HEADS)


def test_forgetting_of_a_worked_matrix():
    # Task 1: best before the last task 90, final 60; task 2: 80 to 75. (30 + 5) / 2.
    assert forgetting([[90], [70, 80], [60, 75, 85]]) == pytest.approx(17.5)


def test_forgetting_looks_at_the_best_earlier_row_and_may_be_negative():
    assert forgetting([[50], [80, 10], [60, 30, 5]]) == pytest.approx(((80 - 60) + (10 - 30)) / 2)


def test_forgetting_needs_two_tasks():
    assert forgetting([[90]]) is None


def test_unmeasured_values_are_left_out():
    assert mean([None, 1.0, 3.0]) == 2
    assert mean([None]) is None
    assert forgetting([[None], [70, 80], [60, 75, 85]]) == pytest.approx((10 + 5) / 2)


def test_headline_figures():
    figures = headline([[90], [70, 80], [60, 75, 85]], [90, 75, 71])
    assert figures["incremental_avg"] == pytest.approx((90 + 75 + 71) / 3)
    assert figures["last"] == 71
    assert figures["last_task_mean"] == pytest.approx((60 + 75 + 85) / 3)


def test_history_names_figures_and_survives_a_round_trip():
    history = AccuracyHistory(HEADS)
    history.add({kind: [50.0] for kind in KINDS}, dict.fromkeys(KINDS, 50.0))
    history.add({kind: [40.0, 60.0] for kind in KINDS}, dict.fromkeys(KINDS, 48.0))
    figures = history.figures()
    assert figures["incremental_avg_top1"] == 49
    assert figures["nme_last_top5"] == 48
    assert figures["nme_forgetting_top1"] == figures["student_forgetting_top1"] == 10
    copy = AccuracyHistory(HEADS)
    copy.load_state_dict(history.state_dict())
    assert copy.figures() == figures


def test_kinds_carry_the_name_of_their_head():
    assert KINDS == ["top1", "top5", "nme_top1", "nme_top5", "student_top1", "student_top5"]


def test_counts_are_summed_to_tasks():
    counts = np.arange(16).reshape(4, 4)

    assert by_task(counts, [0, 1]).tolist() == [[0, 1 + 2 + 3], [4 + 8 + 12, int(counts[1:, 1:].sum())]]
