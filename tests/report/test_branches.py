"""Branches in a report: what they share is one observation, and the reader is told."""

import pytest

from cil.report.branches import branch_notes, branch_warnings
from tests.report.helpers import paragraphs, problem_of, report_of, table
from tests.report.synthetic import config, flat_matrix, write_group, write_run


def write_branch(folder, value, origin="aaa", task=1, ancestor=None, **keys):
    """A finished branch whose ancestor had these settings."""
    share = {"run_id": origin, "run": f"/runs/{origin}", "tasks": list(range(1, task + 1)), "epochs": [2] * task}
    share["config"] = config(**{"seed": 1, **(ancestor or {})})
    told = {"branch": {"run_id": origin, "task": task, "run": share["run"], "inherited": [share]}}
    write_run(folder, flat_matrix(value), result=told, branch__run_id=origin, branch__task=task, **keys)


def test_branches_off_runs_of_several_seeds_are_one_group_paired_by_seed(tmp_path):
    for seed in (1, 2, 3):
        for margin, value in ((0.1, 50.0 + seed), (0.3, 52.0 + seed * seed)):
            write_branch(
                tmp_path / f"m{margin}s{seed}", value, f"run{seed}", ancestor={"seed": seed}, seed=seed,
                ant_margin=margin,
            )  # fmt: skip
    problem = problem_of(tmp_path)
    assert [(group.label, group.seeds) for group in problem.groups] == [
        ("ant_margin=0.1", [1, 2, 3]),
        ("ant_margin=0.3", [1, 2, 3]),
    ]
    assert branch_warnings(problem) == []
    notes = branch_notes(problem)
    assert len(notes) == 4 and "2 runs share task 1 of run run1 (/runs/run1): trained once" in notes[0]
    (row,) = table(report_of(tmp_path), "Against the baseline: average")
    assert row["pairs"] == "3"


def test_seeds_after_one_start_are_told_to_hang_together(tmp_path):
    for seed in (1, 2, 3):
        for margin in (0.1, 0.3):
            write_branch(tmp_path / f"m{margin}s{seed}", 50.0 + margin * seed, task=2, seed=seed, ant_margin=margin)
    problem = problem_of(tmp_path)
    assert {tuple(group.seeds) for group in problem.groups} == {(1, "2 after 1", "3 after 1")}
    warnings = paragraphs(report_of(tmp_path), "warning")
    assert sum("3 of its 3 runs share tasks 1 to 2 of run aaa" in line for line in warnings) == 2
    assert any("6 runs share tasks 1 to 2 of run aaa" in line for line in branch_notes(problem))


def test_the_same_seed_after_two_starts_is_no_repeat(tmp_path):
    write_branch(tmp_path / "a", 50.0, "aaa", ancestor={"seed": 1}, seed=5)
    write_branch(tmp_path / "b", 60.0, "bbb", ancestor={"seed": 2}, seed=5)
    (group,) = problem_of(tmp_path).groups
    assert group.seeds == ["5 after 1", "5 after 2"]
    assert {len(runs) for runs in group.repeats.values()} == {1}


def test_a_start_with_other_settings_is_another_group(tmp_path):
    write_branch(tmp_path / "a", 50.0, "aaa", ancestor={"ant_margin": 0.1}, seed=1, ant_margin=0.3)
    write_branch(tmp_path / "b", 60.0, "bbb", ancestor={"ant_margin": 0.5}, seed=1, ant_margin=0.3)
    assert problem_of(tmp_path).keys == ["branch"]


@pytest.mark.parametrize("declared", [(), ("ant_margin",)])
def test_a_branch_is_not_compared_with_a_whole_run_as_if_it_were_one(tmp_path, declared):
    write_group(tmp_path / "whole", {1: 50.0, 2: 51.0}, ant_margin=0.1, name="baseline")
    for seed in (1, 2):
        origin = f"run{seed}"
        write_branch(tmp_path / origin, 55.0 + seed, origin, ancestor={"seed": seed}, seed=seed, ant_margin=0.3)
    lines = paragraphs(report_of(tmp_path, factors=declared), "warning")
    assert any("not a fair comparison" in line and "branch null → task 1 of " in line for line in lines), lines


def test_a_report_without_branches_says_nothing_of_them(tmp_path):
    write_group(tmp_path, {1: 50.0, 2: 51.0})
    problem = problem_of(tmp_path)
    assert branch_warnings(problem) == branch_notes(problem) == []
