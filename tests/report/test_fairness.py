"""Confusions that the report makes impossible."""

import json
from pathlib import Path
from typing import Any

import pytest

from cil.report.errors import ReportError
from tests.report.helpers import paragraphs, report_of, table
from tests.report.synthetic import INFONCE, accuracies, flat_matrix, write_group, write_run


class TestFairness:
    def test_another_grad_clip_norm_is_named(self, tmp_path: Path) -> None:
        write_group(tmp_path / "base", {1: 50.0, 2: 51.0}, **INFONCE)
        write_group(tmp_path / "fair", {1: 52.0, 2: 53.0})
        write_group(tmp_path / "unfair", {1: 54.0, 2: 55.0}, trainer__grad_clip_norm=5.0)
        report = report_of(tmp_path)
        (warning,) = paragraphs(report, "warning")
        assert "not a fair comparison" in warning and "trainer.grad_clip_norm null → 5" in warning
        answers = paragraphs(report, "answer")
        assert ["NOT A FAIR" in answer for answer in answers] == [True, False]
        rows = table(report, "Against the baseline: average")
        assert rows[0]["differs in"] == "loss infonce → ant; grad_clip_norm null → 5"

    def test_it_is_fair_where_it_is_the_declared_factor(self, tmp_path: Path) -> None:
        write_group(tmp_path / "a", {1: 50.0, 2: 51.0})
        write_group(tmp_path / "b", {1: 52.0, 2: 53.0}, trainer__grad_clip_norm=5.0, optimizer__lr=0.2)
        assert "optimizer.lr" in paragraphs(report_of(tmp_path, factors=["grad_clip_norm"]), "warning")[0]
        assert not paragraphs(report_of(tmp_path, factors=["trainer.grad_clip_norm", "optimizer"]), "warning")

    def test_the_only_difference_is_the_factor(self, tmp_path: Path) -> None:
        write_group(tmp_path / "a", {1: 50.0, 2: 51.0})
        write_group(tmp_path / "b", {1: 52.0, 2: 53.0}, trainer__grad_clip_norm=5.0)
        report = report_of(tmp_path)
        assert not paragraphs(report, "warning")
        assert any("trainer.grad_clip_norm (the only setting" in note for note in paragraphs(report, "note"))

    def test_an_unknown_factor_is_refused(self, tmp_path: Path) -> None:
        write_run(tmp_path / "a")
        with pytest.raises(ReportError, match="--factor: 'nope' is no key"):
            report_of(tmp_path, factors=["nope"])


class TestNoEffect:
    def test_a_setting_without_effect_is_a_warning(self, tmp_path: Path) -> None:
        for margin in (0.1, 0.2):
            write_group(tmp_path / str(margin), {1: 50.0, 2: 51.0}, ant_margin=margin)
        write_group(tmp_path / "other", {1: 52.0, 2: 53.0}, ant_margin=0.3)
        (warning,) = paragraphs(report_of(tmp_path), "warning")
        assert (
            "no effect: ant_margin=0.1 and ant_margin=0.2 gave the same" in warning and "all 2 common runs" in warning
        )

    def test_one_different_seed_is_an_effect(self, tmp_path: Path) -> None:
        write_group(tmp_path / "a", {1: 50.0, 2: 51.0})
        write_group(tmp_path / "b", {1: 50.0, 2: 51.5}, ant_margin=0.2)
        assert not paragraphs(report_of(tmp_path), "warning")

    def test_the_same_accuracies_with_other_losses_are_an_effect(self, tmp_path: Path) -> None:
        write_run(tmp_path / "a", curves={"loss/total": [1.0]})
        write_run(tmp_path / "b", curves={"loss/total": [1.5]}, ant_margin=0.2)
        assert not paragraphs(report_of(tmp_path), "warning")

    def test_runs_that_learned_nothing_of_a_task_are_a_warning(self, tmp_path: Path) -> None:
        for seed, failed in ((1, False), (2, True), (3, True)):
            run = write_run(tmp_path / str(seed), flat_matrix(50.0 + seed), seed=seed, loss__name="infonce")
            result = json.loads((run / "result.json").read_text())
            result["tasks"][0]["new_classes_at_chance"] = failed
            (run / "result.json").write_text(json.dumps(result))
        write_run(tmp_path / "ant", flat_matrix(60.0))
        (warning,) = paragraphs(report_of(tmp_path), "warning")
        assert "2 of 4 runs did not learn" in warning and warning.endswith("loss=infonce (seed 2, 3).")

    def test_warnings_of_the_sweep_stand_at_the_top(self, tmp_path: Path) -> None:
        write_run(tmp_path / "a")
        (tmp_path / "sweep.json").write_text(json.dumps({"warnings": ["loss.topk: the probe saw no effect"]}))
        assert paragraphs(report_of(tmp_path), "warning") == ["loss.topk: the probe saw no effect"]


class TestChoice:
    def test_validation_figures_rank_where_there_are_some(self, tmp_path: Path) -> None:
        for margin, test, val in ((0.1, 60.0, 40.0), (0.2, 50.0, 45.0)):
            result = {"val": accuracies(flat_matrix(val))}
            keys: dict[str, Any] = {"ant_margin": margin, "dataset__holdout_per_class": 5}
            write_run(tmp_path / str(margin), flat_matrix(test), result=result, **keys)
        report = report_of(tmp_path)
        assert [row["group"] for row in table(report, "Results")] == ["ant_margin=0.2", "ant_margin=0.1 (baseline)"]
        assert paragraphs(report, "answer")[0].startswith("ant_margin=0.2: val average +5.00")
        assert any("Ranked by the validation images" in note for note in paragraphs(report, "note"))

    def test_a_choice_on_test_figures_is_said(self, tmp_path: Path) -> None:
        write_run(tmp_path / "a")
        write_run(tmp_path / "b", ant_margin=0.2)
        assert any("chosen on the test set" in note for note in paragraphs(report_of(tmp_path), "note"))
