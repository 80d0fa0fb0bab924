"""Which runs are averaged together."""

import shutil
from pathlib import Path

import pytest

from cil.report.groups import make_problems, natural
from cil.report.runs import find_runs
from tests.report.helpers import problem_of, problems_of
from tests.report.synthetic import INFONCE, flat_matrix, keyed, write_group, write_run


def test_seeds_make_a_group_and_other_settings_do_not(tmp_path: Path) -> None:
    write_group(tmp_path / "a", {1: 50.0, 2: 60.0, 3: 70.0})
    write_group(tmp_path / "b", {1: 50.0}, ant_margin=0.3)
    problem = problem_of(tmp_path)
    assert [(g.label, len(g.runs)) for g in problem.groups] == [("ant_margin=0.1", 3), ("ant_margin=0.3", 1)]
    summary = problem.groups[0].summary("incremental_avg_top1")
    assert (summary.n, summary.mean, summary.deviation) == (3, 60.0, 10.0)


@pytest.mark.parametrize("key", ["device", "name", "dataset.root", "trainer.eval_every", "tracking.tensorboard"])
def test_what_cannot_change_a_result_makes_no_group(tmp_path: Path, key: str) -> None:
    write_run(tmp_path / "a", seed=1)
    write_run(tmp_path / "b", seed=2, **keyed(key, "other"))
    assert [len(group.runs) for group in problem_of(tmp_path).groups] == [2]


def test_a_repeat_counts_once_and_is_listed(tmp_path: Path) -> None:
    write_run(tmp_path / "later", flat_matrix(70.0), status={"started": "2026-02-02"})
    write_run(tmp_path / "first", flat_matrix(50.0), status={"started": "2026-01-01"})
    problems, duplicates = make_problems(find_runs([tmp_path]).runs)
    (group,) = problems[0].groups
    assert group.summary("last_top1").mean == 50.0
    assert [(one.path.name, "a repeat" in one.reason) for one in duplicates] == [("later", True)]
    assert [len(runs) for runs in group.repeats.values()] == [2]


def test_a_copied_folder_is_no_repeat(tmp_path: Path) -> None:
    shutil.copytree(write_run(tmp_path / "a"), tmp_path / "copy")
    problems, duplicates = make_problems(find_runs([tmp_path]).runs)
    assert "a copy of" in duplicates[0].reason
    assert [len(runs) for runs in problems[0].groups[0].repeats.values()] == [1]


def test_other_tasks_are_another_problem(tmp_path: Path) -> None:
    write_run(tmp_path / "a", flat_matrix(50.0, tasks=3))
    write_run(tmp_path / "b", flat_matrix(50.0, tasks=1), trainer__max_tasks=1)
    write_run(tmp_path / "c", flat_matrix(50.0), dataset__name="cifar10", dataset__source="cifar")
    titles = [problem.title for problem in problems_of(tmp_path)]
    assert titles == ["cifar10, 3 tasks of 2 classes", "digits, 1 task of 2 classes", "digits, 3 tasks of 2 classes"]


def test_groups_that_differ_in_an_unused_key_still_have_names_of_their_own(tmp_path: Path) -> None:
    for margin in (0.1, 0.2):
        write_run(tmp_path / f"infonce-{margin}", **{**INFONCE, "ant_margin": margin})
    assert [g.label for g in problem_of(tmp_path).groups] == ["ant_margin=0.1", "ant_margin=0.2"]
    for margin in (0.1, 0.2):
        write_run(tmp_path / f"ant-{margin}", ant_margin=margin)
    labels = {g.label for g in problem_of(tmp_path).groups}
    assert labels == {f"loss={loss} ant_margin={margin}" for loss in ("ant", "infonce") for margin in (0.1, 0.2)}


def test_labels_name_only_what_a_group_uses(tmp_path: Path) -> None:
    write_run(tmp_path / "a", ant_margin=0.1)
    write_run(tmp_path / "b", ant_margin=0.3)
    write_run(tmp_path / "c", **INFONCE)
    assert [g.label for g in problem_of(tmp_path).groups] == [
        "loss=ant ant_margin=0.1",
        "loss=ant ant_margin=0.3",
        "loss=infonce",
    ]


def test_groups_with_names_of_their_own_are_called_by_them(tmp_path: Path) -> None:
    write_run(tmp_path / "a", name="baseline")
    write_run(tmp_path / "b", name="gap_max", loss__gap_beta=0.5)
    assert [g.label for g in problem_of(tmp_path).groups] == ["baseline", "gap_max"]


def test_numbers_sort_by_value() -> None:
    assert sorted(["m=0.5", "m=10", "m=9", "m=0.1"], key=natural) == ["m=0.1", "m=0.5", "m=9", "m=10"]


def test_problems_that_look_alike_have_titles_of_their_own(tmp_path: Path) -> None:
    write_run(tmp_path / "a", seed=1)
    write_run(tmp_path / "b", seed=2, split__sizes=[2, 2, 2])
    titles = [problem.title for problem in problems_of(tmp_path)]
    assert titles == [f"digits, 3 tasks of 2 classes (split.sizes={sizes})" for sizes in ("null", "[2, 2, 2]")]


def test_tasks_that_max_tasks_does_not_cut_are_the_same_problem(tmp_path: Path) -> None:
    for seed, most in enumerate((None, 3, 9)):
        write_run(tmp_path / str(most), seed=seed, trainer__max_tasks=most)
    assert [len(group.runs) for group in problem_of(tmp_path).groups] == [3]


def test_a_run_that_trained_in_micro_batches_is_no_repeat(tmp_path: Path) -> None:
    write_run(tmp_path / "a", status={"started": "2026-01-01"})
    events = {"memory_events": [{"task": 1, "micro_batches": 2}], "seconds": 1}
    write_run(tmp_path / "b", flat_matrix(55.0), status={"started": "2026-01-02"}, result=events)
    problems, duplicates = make_problems(find_runs([tmp_path]).runs)
    assert "micro-batches" in duplicates[0].reason
    assert [len(runs) for runs in problems[0].groups[0].repeats.values()] == [1]
