"""Comparisons that go along with how the runs were made."""

import pytest

from tests.report.helpers import paragraphs, report_of, table
from tests.report.synthetic import INFONCE, flat_matrix, write_run


def write(folder, value, seed, made=None, **keys):
    return write_run(folder, flat_matrix(value), seed=seed, result=made, **keys)


OTHER_CODE = {"git_commit": "b" * 40}


def test_pairs_made_differently_are_said_and_shown_apart(tmp_path):
    for seed in (1, 2, 3):
        write(tmp_path / f"infonce-{seed}", 60.0, seed, **INFONCE)
        write(tmp_path / f"ant-{seed}", 62.0 if seed == 3 else 60.5, seed, OTHER_CODE if seed == 3 else None)

    report = report_of(tmp_path)

    (warning,) = [text for text in paragraphs(report, "warning") if "not made alike" in text]
    assert "1 of 3 pairs with loss=infonce were not made alike (other code): loss=ant" in warning
    (row,) = table(report, "Batches")
    assert row["Δ average, made alike"] == "+0.50 (2)" and row["Δ average, made differently"] == "+2.00 (1)"
    assert row["other"] == "code"


def test_a_batch_that_both_sides_share_is_no_matter(tmp_path):
    for seed in (1, 2):
        made = OTHER_CODE if seed == 2 else None
        write(tmp_path / f"infonce-{seed}", 60.0, seed, made, **INFONCE)
        write(tmp_path / f"ant-{seed}", 61.0, seed, made)

    report = report_of(tmp_path)

    assert not [text for text in paragraphs(report, "warning") if "not made alike" in text]
    assert not [b for b in report.document.blocks if getattr(b, "title", "") == "Batches"]


@pytest.mark.parametrize(
    ("made", "name"),
    [
        ({"versions": {"cil": "0.1.0", "torch": "2.15"}}, "torch"),
        ({"device": {"name": "another GPU"}}, "device"),
        (OTHER_CODE | {"device": {"name": "another GPU"}}, "code, device"),
    ],
)
def test_what_differs_is_named(tmp_path, made, name):
    write(tmp_path / "infonce", 60.0, 1, **INFONCE)
    write(tmp_path / "ant", 61.0, 1, made)
    assert table(report_of(tmp_path), "Batches")[0]["other"] == name


def test_another_machine_counts(tmp_path):
    write(tmp_path / "infonce", 60.0, 1, **INFONCE)
    write_run(tmp_path / "ant", flat_matrix(61.0), seed=1, status={"host": "elsewhere"})
    assert table(report_of(tmp_path), "Batches")[0]["other"] == "machine"


def test_a_cell_that_was_run_in_two_batches_estimates_the_effect(tmp_path):
    write(tmp_path / "infonce-1", 77.87, 1, **INFONCE)
    write(tmp_path / "infonce-1-again", 79.04, 1, OTHER_CODE | {"seconds": 5.0}, **INFONCE)
    write(tmp_path / "ant-1", 79.0, 1)

    rows = table(report_of(tmp_path), "Batches")

    (row,) = [row for row in rows if row["variant"].startswith("the same run twice")]
    assert "loss=infonce" in row["variant"] and row["Δ average, made differently"] == "+1.17" and row["other"] == "code"
