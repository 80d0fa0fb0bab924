"""Ranks and Friedman's test: by hand on a small case, and the published observations recomputed."""

from statistics import mean, stdev

import pytest

from cil.report.blocks import (
    Block,
    friedman,
    leave_one_block_out,
    leave_one_seed_out,
    mean_difference,
    protocol_means,
)
from cil.report.observations import read_observations

SMALL = {
    Block("p", 1): {"a": 3.0, "b": 2.0, "c": 1.0},
    Block("p", 2): {"a": 3.0, "b": 1.0, "c": 2.0},
    Block("q", 1): {"a": 5.0, "b": 4.0, "c": 4.0},
}


def test_ranks_and_chi_square_by_hand():
    found = friedman(SMALL)

    assert found is not None and found.blocks == 3
    # Ranks 1 2 3, 1 3 2 and 1 2.5 2.5.
    assert found.ranks == pytest.approx({"a": 1.0, "b": 2.5, "c": 2.5})
    # 12 N / (k (k + 1)) * sum (R - (k + 1) / 2)^2 = 4.5, over 1 - sum(t^3 - t) / (N (k^3 - k)) = 1 - 6 / 72.
    assert found.chi2 == pytest.approx(4.5 / (1 - 6 / 72))
    # q(0.05, 3, inf) / sqrt(2) = 2.343 (Demsar 2006, table 5), times sqrt(3 * 4 / (6 * 3)).
    assert found.critical == pytest.approx(2.343 * (12 / 18) ** 0.5, abs=2e-3)


def test_lower_can_be_better():
    assert friedman(SMALL, better=-1).ranks["a"] == 3


def test_two_treatments_or_one_block_are_no_test():
    assert friedman({Block("p", 1): {"a": 1.0, "b": 2.0, "c": 3.0}}) is None
    assert friedman({Block("p", s): {"a": 1.0, "b": 2.0} for s in range(5)}) is None


def test_where_nothing_differs_there_is_no_test():
    assert friedman({Block("p", s): {"a": 1.0, "b": 1.0, "c": 1.0} for s in range(3)}) is None


def test_leaving_out_blocks_and_seeds():
    assert mean_difference(SMALL, "a", "b") == pytest.approx(4 / 3)
    block = leave_one_block_out(SMALL, "a", "b")
    assert (block.low == (1.0, "p 2") and block.high == (1.5, "q 1")) or block.high[0] == 1.5
    seed = leave_one_seed_out(SMALL, "a", "b")
    assert seed.low == (1.0, "seed 2") and seed.high == (2.0, "seed 1")


def test_means_of_protocols():
    assert protocol_means(SMALL)[Block("p", None)] == {"a": 3.0, "b": 1.5, "c": 1.5}


@pytest.fixture(scope="module")
def published():
    return read_observations("tagfex_ant_2026")


def test_the_published_observations_are_whole(published):
    assert len(published.values) == 12 and len(published.treatments) == 17
    assert len({block.protocol for block in published.values}) == 4


def test_their_friedman_test(published):
    found = friedman(published.values)

    assert found.chi2 == pytest.approx(22.86, abs=0.005) and found.p == pytest.approx(0.118, abs=5e-4)
    assert min(found.ranks.items(), key=lambda item: item[1]) == (
        "ant_full_global_detached",
        pytest.approx(4.17, abs=0.005),
    )
    assert max(found.ranks.items(), key=lambda item: item[1]) == ("ant_first_anchor", pytest.approx(11.83, abs=0.005))
    assert found.ranks["infonce"] == pytest.approx(9.21, abs=0.005)
    assert found.critical == pytest.approx(7.13, abs=0.005)
    assert friedman(protocol_means(published.values)).p == pytest.approx(0.092, abs=5e-4)


def test_their_best_effect_collapses_without_one_seed(published):
    best = max(published.treatments, key=lambda name: mean_difference(published.values, name, "infonce"))
    differences = {block: row[best] - row["infonce"] for block, row in published.values.items()}
    rest = [value for block, value in differences.items() if block.seed != 1993]

    assert mean(differences.values()) == pytest.approx(0.40, abs=0.005)
    assert stdev(differences.values()) == pytest.approx(0.60, abs=0.005)
    assert mean(rest) == pytest.approx(0.12, abs=0.005) and stdev(rest) == pytest.approx(0.46, abs=0.005)
    low = leave_one_seed_out(published.values, best, "infonce").low
    assert low == (pytest.approx(mean(rest)), "seed 1993")
