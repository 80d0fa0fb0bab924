"""Effects of a factorial, against a plain computation."""

import itertools
from statistics import mean, stdev

import pytest

from cil.report.factorial import effects, find_factorial
from tests.report.helpers import problem_of, report_of, table
from tests.report.synthetic import INFONCE, flat_matrix, write_run

FACTORS = {"loss.negatives": ("first_view", "all"), "loss.reference": ("anchor", "global")}
FACTORS |= {"loss.reference_grad": (True, False)}
SEEDS = (1, 2, 3)


def accuracy(cell: tuple[int, ...], seed: int) -> float:
    """All negatives +2, global -1, detached +0.5, and +0.8 more for all negatives with a global reference."""
    negatives, reference, detached = cell
    noise = ((seed * 7 + sum(3**i * on for i, on in enumerate(cell)) * 5) % 11) / 10
    return 60 + 2 * negatives - reference + 0.5 * detached + 0.8 * negatives * reference + noise


def write_factorial(folder, infonce=True, leave_out=()):
    for cell in itertools.product((0, 1), repeat=3):
        for seed in SEEDS:
            if (cell, seed) in leave_out:
                continue
            keys = {key: pair[on] for (key, pair), on in zip(FACTORS.items(), cell, strict=True)}
            name = "".join(map(str, cell))
            write_run(folder / f"{name}-{seed}", flat_matrix(accuracy(cell, seed)), seed=seed, **keys)
    if infonce:
        for seed in SEEDS:
            none = {"loss.negatives": "first_view", "loss.reference_grad": None}
            write_run(folder / f"infonce-{seed}", flat_matrix(59.0 + seed), seed=seed, **(INFONCE | none))


def expected(places: tuple[int, ...]) -> list[float]:
    """The contrast of each seed, from its definition."""
    found = []
    for seed in SEEDS:
        groups = {1: [], -1: []}
        for cell in itertools.product((0, 1), repeat=3):
            sign = 1
            for place in places:
                sign *= 1 if cell[place] else -1
            groups[sign].append(accuracy(cell, seed))
        found.append(mean(groups[1]) - mean(groups[-1]))
    return found


@pytest.mark.parametrize("infonce", [True, False])
def test_main_effects_and_interactions_paired_by_seed(tmp_path, infonce: bool):
    write_factorial(tmp_path, infonce)
    factorial = find_factorial(problem_of(tmp_path))
    assert factorial is not None and factorial.factors == FACTORS

    found = effects(factorial, "incremental_avg_top1")

    places = [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)]
    assert [effect.keys for effect in found] == [tuple(list(FACTORS)[i] for i in place) for place in places]
    for effect, place in zip(found, places, strict=True):
        values = expected(place)
        assert effect.test.n == 3 and effect.test.mean == pytest.approx(mean(values))
        if stdev(values) > 1e-9:
            assert effect.test.high - effect.test.mean == pytest.approx(4.302652729911275 * stdev(values) / 3**0.5)


def test_the_interaction_is_half_of_how_much_an_effect_changes(tmp_path):
    write_factorial(tmp_path)
    found = {e.keys: e.test.mean for e in effects(find_factorial(problem_of(tmp_path)), "incremental_avg_top1")}
    pair = ("loss.negatives", "loss.reference")
    at_global, at_anchor = (
        mean(accuracy((1, r, d), s) - accuracy((0, r, d), s) for d in (0, 1) for s in SEEDS) for r in (1, 0)
    )
    assert found[pair] == pytest.approx((at_global - at_anchor) / 2)


def test_the_report_shows_them_beside_the_pairwise_table(tmp_path):
    write_factorial(tmp_path)
    report = report_of(tmp_path)
    rows = table(report, "Effects of the factors")
    assert [row["effect"] for row in rows] == [
        "negatives: first_view → all",
        "reference: anchor → global",
        "reference_grad: true → false",
        "negatives: first_view → all × reference: anchor → global",
        "negatives: first_view → all × reference_grad: true → false",
        "reference: anchor → global × reference_grad: true → false",
    ]
    assert rows[0]["Δ average"].startswith("+2.")
    assert len(table(report, "Against the baseline: average")) == 8


@pytest.mark.parametrize("infonce", [True, False])
def test_further_groups_stand_in_the_pairwise_table_alone(tmp_path, infonce: bool):
    write_factorial(tmp_path / "alone", infonce)
    alone = effects(find_factorial(problem_of(tmp_path / "alone")), "incremental_avg_top1")
    write_factorial(tmp_path / "more", infonce)
    first = {key: pair[0] for key, pair in FACTORS.items()}
    for seed in SEEDS:
        write_run(tmp_path / f"more/avg-{seed}", flat_matrix(66.0), seed=seed, teacher__average_last=5, **first)
        write_run(tmp_path / f"more/margin-{seed}", flat_matrix(61.0), seed=seed, ant_margin=0.7, **first)

    factorial = find_factorial(problem_of(tmp_path / "more"))

    assert factorial.factors == FACTORS and effects(factorial, "incremental_avg_top1") == alone
    assert len(factorial.further) == 2 + infonce
    report = report_of(tmp_path / "more")
    (found,) = (block for block in report.document.blocks if getattr(block, "title", "") == "Effects of the factors")
    assert "Not part of it: " in found.note and "average_last=5" in found.note
    assert len(table(report, "Against the baseline: average")) == 9 + infonce


def test_seeds_without_every_cell_are_left_out(tmp_path):
    write_factorial(tmp_path, leave_out={((0, 1, 1), 2)})
    assert effects(find_factorial(problem_of(tmp_path)), "last_top1")[0].test.n == 2


def test_what_is_no_factorial_has_no_such_table(tmp_path):
    write_factorial(tmp_path / "whole", infonce=False, leave_out={((0, 1, 1), seed) for seed in SEEDS})
    assert find_factorial(problem_of(tmp_path / "whole")) is None
    for margin in (0.1, 0.3):
        write_run(tmp_path / "one" / str(margin), ant_margin=margin)
    assert find_factorial(problem_of(tmp_path / "one")) is None
