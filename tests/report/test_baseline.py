"""Which group the others are compared with."""

from pathlib import Path

import pytest

from cil.report.baseline import choose_baselines
from cil.report.errors import ReportError
from cil.report.groups import make_problems
from cil.report.runs import find_runs
from tests.report.helpers import paragraphs, problem_of, report_of
from tests.report.synthetic import INFONCE, flat_matrix, write_group, write_run


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

    def test_by_where_the_stream_was_cut(self, folder: Path) -> None:
        stream = {"class_order": list(range(6))}
        write_run(folder / "cut", flat_matrix(50.0, tasks=2), result=stream, **INFONCE, trainer__max_tasks=2)
        problems, _ = make_problems(find_runs([folder]).runs)
        choose_baselines(problems, "trainer.max_tasks=2")
        (chosen,) = (problem for problem in problems if problem.baseline_declared)
        assert [run.cut_after for run in chosen.runs] == [2]

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


class TestTwins:
    """InfoNCE does not train with a margin: a sweep loss=infonce,ant ant_margin=0.1,0.3 has three trainings."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for margin in (0.1, 0.3):
            write_group(tmp_path / f"nce{margin}", {1: 60.0, 2: 70.0, 3: 80.0}, **{**INFONCE, "ant_margin": margin})
        write_group(tmp_path / "ant0.1", {1: 61.0, 2: 71.1, 3: 80.9}, ant_margin=0.1)
        write_group(tmp_path / "ant0.3", {1: 60.1, 2: 69.0, 3: 80.9}, ant_margin=0.3)
        return tmp_path

    def test_infonce_is_the_baseline(self, folder: Path) -> None:
        report = report_of(folder)
        (problem,) = report.problems
        assert problem.baseline is not None and problem.baseline.label == "loss=infonce ant_margin=0.1"
        assert "all train the same" in problem.baseline_reason
        assert any("count as one" in note for note in paragraphs(report, "note"))
        assert not paragraphs(report, "warning")

    def test_p_values_are_corrected_over_the_real_variants(self, folder: Path) -> None:
        (comparisons,) = report_of(folder).comparisons
        assert [c.variant.label for c in comparisons] == ["loss=ant ant_margin=0.1", "loss=ant ant_margin=0.3"]
        one = comparisons[0].by_figure["incremental_avg_top1"]
        assert one.test is not None and one.test.p is not None
        assert one.p_holm == pytest.approx(2 * one.test.p)

    @pytest.mark.parametrize("wanted", ["loss=infonce", "loss=infonce ant_margin=0.3"])
    def test_either_may_be_asked_for(self, folder: Path, wanted: str) -> None:
        problem = problem_of(folder)
        choose_baselines([problem], wanted)
        assert problem.baseline is not None and problem.baseline.settings["loss.name"] == "infonce"
        assert [group.settings["loss.name"] for group in problem.variants] == ["ant", "ant"]

    def test_what_trains_is_no_twin(self, tmp_path: Path) -> None:
        write_run(tmp_path / "a", **INFONCE)
        write_run(tmp_path / "b", **{**INFONCE, "loss.temperature": 0.1})
        assert [group.twin for group in problem_of(tmp_path).groups] == [None, None]
