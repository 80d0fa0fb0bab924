"""The report's statistics against scipy and by hand."""

import pytest
from scipy import stats

from cil.report.significance import holm, paired_test, summarise

DELTAS = [0.31, 0.26, -0.10, -0.28, -0.23]


def test_sample_standard_deviation_by_hand() -> None:
    summary = summarise([1.0, 2.0, 6.0, None])
    assert (summary.n, summary.mean) == (3, 3.0)
    assert summary.deviation == pytest.approx(7**0.5)  # (4 + 1 + 9) / 2


def test_no_deviation_of_a_single_value_and_nothing_of_none() -> None:
    assert summarise([4.0]).deviation is None
    assert summarise([None]).mean is None


def test_paired_test_agrees_with_scipy() -> None:
    ours, theirs = paired_test(DELTAS), stats.ttest_1samp(DELTAS, 0)
    interval = theirs.confidence_interval(0.95)
    assert ours.p == pytest.approx(theirs.pvalue)
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high))


def test_one_pair_has_no_interval() -> None:
    test = paired_test([0.4])
    assert (test.n, test.mean, test.low, test.p) == (1, 0.4, None, None)


def test_differences_without_spread() -> None:
    none = paired_test([0.0, 0.0])
    assert (none.p, none.low, none.high) == (1.0, 0.0, 0.0)
    equal = paired_test([0.5, 0.5, 0.5])
    assert (equal.n, equal.mean) == (3, pytest.approx(0.5)) and equal.p is equal.low is equal.high is None


def test_holm_by_hand() -> None:
    # Sorted: 0.01 * 3, 0.02 * 2 (0.04), 0.04 * 1 (raised to 0.04); the None is not counted.
    assert holm([0.04, None, 0.01, 0.02]) == pytest.approx([0.04, None, 0.03, 0.04])


def test_holm_is_at_most_one() -> None:
    assert holm([0.6, 0.9]) == [1.0, 1.0]
