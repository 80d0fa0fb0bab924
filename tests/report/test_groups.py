"""Which runs are averaged together."""

import shutil
from pathlib import Path

import pytest

from cil.report.errors import ReportError
from cil.report.groups import choose_baselines, make_problems, natural
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


class TestBaseline:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for margin in (0.1, 0.3):
            write_run(tmp_path / f"m{margin}", ant_margin=margin)
        write_run(tmp_path / "nce", **INFONCE)
        return tmp_path

    @pytest.mark.parametrize(
        ("wanted", "label"),
        [
            (None, "loss=infonce"),
            ("loss.name=infonce", "loss=infonce"),
            ("loss=ant ant_margin=0.3", "loss=ant ant_margin=0.3"),
        ],
    )
    def test_chosen_or_by_default(self, folder: Path, wanted: str | None, label: str) -> None:
        problem = problem_of(folder)
        choose_baselines([problem], wanted)
        assert problem.baseline is not None and problem.baseline.label == label

    def test_the_one_named_baseline_comes_before_infonce(self, folder: Path) -> None:
        write_run(folder / "base", ant_margin=0.2, name="baseline")
        problem = problem_of(folder)
        choose_baselines([problem], None)
        assert problem.baseline is not None and problem.baseline.names == {"baseline"}
        assert problem.baseline_reason == "the group named baseline"

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [("loss=ant", "fits 2 groups"), ("nonsense", "no group fits"), ("loss=ant=x y", "is not KEY=VALUE")],
    )
    def test_refused(self, folder: Path, wanted: str, expected: str) -> None:
        with pytest.raises(ReportError, match=expected):
            choose_baselines([problem_of(folder)], wanted)


@pytest.mark.parametrize("first", ["baseline", "margin_sweep"])
def test_the_baseline_is_found_also_as_a_job_of_a_sweep(tmp_path: Path, first: str) -> None:
    """`experiment=baseline` and a sweep's job of the same settings are one run to the report."""
    second = "margin_sweep" if first == "baseline" else "baseline"
    for seed in (1, 2):
        write_run(tmp_path / f"a{seed}", seed=seed, name=first, status={"started": "2026-01-01"})
        write_run(
            tmp_path / f"b{seed}", seed=seed, name=second, status={"started": "2026-01-02"}, result={"seconds": 1}
        )
        write_run(tmp_path / f"c{seed}", seed=seed, name="infonce", **INFONCE)
    problem = problem_of(tmp_path)
    choose_baselines([problem], None)
    assert problem.baseline is not None and problem.baseline.names == {"baseline", "margin_sweep"}
    assert problem.baseline_declared


def test_two_groups_named_baseline_are_told(tmp_path: Path) -> None:
    write_run(tmp_path / "a", name="baseline")
    write_run(tmp_path / "b", name="baseline", trainer__grad_clip_norm=1.0)
    write_run(tmp_path / "c", name="infonce", **INFONCE)
    problem = problem_of(tmp_path)
    choose_baselines([problem], None)
    assert problem.baseline_reason == "the first of 2 groups named baseline" and not problem.baseline_declared
    assert "2 groups are named baseline" in problem.warnings[0]


def test_problems_that_look_alike_have_titles_of_their_own(tmp_path: Path) -> None:
    write_run(tmp_path / "a", seed=1)
    write_run(tmp_path / "b", seed=2, trainer__max_tasks=3)
    titles = [problem.title for problem in problems_of(tmp_path)]
    assert len(set(titles)) == 2 and any("trainer.max_tasks=3" in title for title in titles)


def test_a_run_that_trained_in_micro_batches_is_no_repeat(tmp_path: Path) -> None:
    write_run(tmp_path / "a", status={"started": "2026-01-01"})
    events = {"memory_events": [{"task": 1, "micro_batches": 2}], "seconds": 1}
    write_run(tmp_path / "b", flat_matrix(55.0), status={"started": "2026-01-02"}, result=events)
    problems, duplicates = make_problems(find_runs([tmp_path]).runs)
    assert "micro-batches" in duplicates[0].reason
    assert [len(runs) for runs in problems[0].groups[0].repeats.values()] == [1]
