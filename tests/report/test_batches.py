"""Comparisons that go along with how the runs were made."""

import pytest

from tests.report.helpers import paragraphs, report_of, table
from tests.report.synthetic import INFONCE, flat_matrix, write_run


def write(folder, value, seed, made=None, **keys):
    return write_run(folder, flat_matrix(value), seed=seed, result=made, **keys)


def batch_warnings(report):
    return [text for text in paragraphs(report, "warning") if "not made like" in text]


OTHER_CODE = {"git_commit": "b" * 40}


def test_pairs_made_differently_are_said_and_shown_apart(tmp_path):
    for seed in (1, 2, 3):
        write(tmp_path / f"infonce-{seed}", 60.0, seed, **INFONCE)
        write(tmp_path / f"ant-{seed}", 62.0 if seed == 3 else 60.5, seed, OTHER_CODE if seed == 3 else None)

    report = report_of(tmp_path)

    (warning,) = batch_warnings(report)
    assert "not made like their pairs of loss=infonce (other code): loss=ant (1 of 3 runs)" in warning
    alike, differently = table(report, "Batches")
    assert alike["made"] == "alike" and alike["Δ average"] == "+0.50" and alike["pairs"] == "2"
    assert alike["how"] == f"code: {'a' * 10}"
    assert differently["Δ average"] == "+2.00" and differently["how"] == f"code: {'b' * 10}, baseline {'a' * 10}"


def test_batches_that_both_sides_share_are_shown_apart_and_not_warned_of(tmp_path):
    for seed in (1, 2, 3, 4):
        made = OTHER_CODE if seed > 2 else None
        write(tmp_path / f"infonce-{seed}", 60.0, seed, made, **INFONCE)
        write(tmp_path / f"ant-{seed}", 59.0 if seed > 2 else 61.0, seed, made)

    report = report_of(tmp_path)

    assert batch_warnings(report) == []
    assert [(row["made"], row["Δ average"]) for row in table(report, "Batches")] == [
        ("alike", "+1.00"),
        ("alike", "-1.00"),
    ]


def test_machines_by_chance_are_not_warned_of(tmp_path):
    """To and fro: the variant on the one and the baseline on the other, and the other way round."""
    hosts = {"infonce": "ABABAB", "ant": "BABAAB"}
    for name, keys in (("infonce", INFONCE), ("ant", {})):
        for seed, host in enumerate(hosts[name], 1):
            write_run(tmp_path / f"{name}-{seed}", flat_matrix(60.0), seed=seed, status={"host": host}, **keys)
    report = report_of(tmp_path)
    assert batch_warnings(report) == []
    assert {row["made"] for row in table(report, "Batches")} == {"alike", "differently"}


def test_a_name_of_its_own_for_every_run_is_no_batch(tmp_path):
    for seed in (1, 2):
        for name, keys in (("infonce", INFONCE), ("ant", {})):
            status = {"host": f"container-{name}-{seed}"}
            write_run(tmp_path / f"{name}-{seed}", flat_matrix(60.0), seed=seed, status=status, **keys)
    assert not [b for b in report_of(tmp_path).document.blocks if getattr(b, "title", "") == "Batches"]


@pytest.mark.parametrize(
    ("made", "name"),
    [
        ({"git_commit": "a" * 40 + "+changes"}, "code"),
        ({"device": {"name": "x86", "thread_counts": [8]}}, "CPU threads"),
        ({"versions": {"cil": "0.1.0", "torch": "2.15"}}, "torch"),
        ({"device": {"name": "another GPU"}}, "device"),
        (OTHER_CODE | {"device": {"name": "another GPU"}}, "code, device"),
    ],
)
def test_what_differs_is_named(tmp_path, made, name):
    write(tmp_path / "infonce", 60.0, 1, {"device": {"name": "x86", "thread_counts": [1]}}, **INFONCE)
    write(tmp_path / "ant", 61.0, 1, {"device": {"name": "x86", "thread_counts": [1]}} | made)
    (warning,) = batch_warnings(report_of(tmp_path))
    assert f"(other {name})" in warning


def test_another_machine_counts(tmp_path):
    write(tmp_path / "infonce", 60.0, 1, **INFONCE)
    write_run(tmp_path / "ant", flat_matrix(61.0), seed=1, status={"host": "elsewhere"})
    (warning,) = batch_warnings(report_of(tmp_path))
    assert "(other machine)" in warning


def test_a_cell_that_was_run_in_two_batches_estimates_the_effect(tmp_path):
    write(tmp_path / "infonce-1", 77.87, 1, **INFONCE)
    write(tmp_path / "infonce-1-again", 79.04, 1, OTHER_CODE | {"seconds": 5.0}, **INFONCE)
    write(tmp_path / "ant-1", 79.0, 1)

    rows = table(report_of(tmp_path), "Batches")

    (row,) = [row for row in rows if row["variant"].startswith("the same run twice")]
    assert "loss=infonce" in row["variant"] and row["Δ average"] == "+1.17" and row["how"] == "code"
