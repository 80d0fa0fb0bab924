"""Confusions that the report makes impossible."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from cil.report.errors import ReportError
from tests.report.helpers import paragraphs, report_of, table
from tests.report.synthetic import INFONCE, accuracies, flat_matrix, keyed, write_group, write_run


class TestMixtures:
    def test_two_class_orders_are_not_averaged(self, tmp_path: Path) -> None:
        for order in (0, 1):
            write_run(tmp_path / str(order), flat_matrix(50.0 + order), class_order="random", class_order_seed=order)
        with pytest.raises(ReportError, match=r"2 class orders .*random with class_order_seed 0.*--allow class_order"):
            report_of(tmp_path)
        report = report_of(tmp_path, allowed=frozenset({"class_order"}))
        assert table(report, "Results")[0]["n"] == "2"
        assert "averaged all the same (--allow class_order)" in paragraphs(report, "warning")[0]

    def test_baseline_and_variant_of_different_class_orders_are_not_compared(self, tmp_path: Path) -> None:
        write_run(tmp_path / "a", class_order="random", class_order_seed=0)
        write_run(tmp_path / "b", class_order="random", class_order_seed=1, **INFONCE)
        with pytest.raises(ReportError, match="2 class orders"):
            report_of(tmp_path)

    @pytest.mark.parametrize("key", ["dataset.max_test_per_class", "dataset.holdout_per_class"])
    def test_two_test_sets(self, tmp_path: Path, key: str) -> None:
        write_run(tmp_path / "a", seed=1)
        write_run(tmp_path / "b", seed=2, **keyed(key, 10))
        with pytest.raises(ReportError, match=r"2 test sets .*--allow test_set"):
            report_of(tmp_path)
        counts = [row["n"] for row in table(report_of(tmp_path, allowed=frozenset({"test_set"})), "Results")]
        assert counts == (["2"] if "test" in key else ["1", "1"]), "a holdout cuts training images as well"

    def test_same_shape_but_other_classes(self, tmp_path: Path) -> None:
        write_run(tmp_path / "a", flat_matrix(50.0, tasks=1), seed=1, dataset__root="/a")
        tasks = [{"task": 1, "size": 2, "classes": [0, 1], "names": ["car", "bus"], "test_images": 20}]
        write_run(tmp_path / "b", flat_matrix(50.0, tasks=1), seed=2, dataset__root="/b", result={"tasks": tasks})
        with pytest.raises(ReportError, match="2 test sets"):
            report_of(tmp_path)

    def test_two_class_lists(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            class_list = {"file": "list.txt", "sha256": name * 64}
            write_run(tmp_path / name, result={"class_list": class_list}, dataset__class_list=f"/{name}.txt")
        with pytest.raises(ReportError, match="2 test sets"):
            report_of(tmp_path)

    def test_one_class_list_written_in_two_ways(self, tmp_path: Path) -> None:
        tasks = [{"task": 1, "size": 2, "classes": [0, 1], "names": ["car", "bus"], "test_images": 20}]
        for name, sha in (("a", "a" * 64), ("b", sha256(b"bus\ncar").hexdigest())):
            result = {"class_list": {"file": f"{name}.txt", "sha256": sha}, "tasks": tasks}
            matrix = flat_matrix(50.0, tasks=1)
            write_run(
                tmp_path / name, matrix, seed=ord(name) - ord("a"), result=result, dataset__class_list=f"/{name}.txt"
            )
        assert table(report_of(tmp_path), "Results")[0]["n"] == "2", "an older result beside a newer one"
        tasks[0]["names"] = ["car", "van"]
        result = {"class_list": {"file": "c.txt", "sha256": sha}, "tasks": tasks}
        write_run(tmp_path / "c", matrix, seed=3, result=result, dataset__class_list="/c.txt")
        with pytest.raises(ReportError, match="2 test sets"):
            report_of(tmp_path)

    def test_other_images_under_the_same_settings(self, tmp_path: Path) -> None:
        write_run(tmp_path / "a", seed=1)
        folder = write_run(tmp_path / "b", seed=2)
        result = json.loads((folder / "result.json").read_text())
        result["tasks"][-1]["test_images"] -= 1
        (folder / "result.json").write_text(json.dumps(result))
        with pytest.raises(ReportError, match=r"2 test sets .*60 images.*59 images"):
            report_of(tmp_path)

    @pytest.mark.parametrize(
        "result", [{"results_version": 2}, {"part_versions": {"optimizer": 2}}, {"config_id": "0" * 12}], ids=str
    )
    def test_code_that_moved_numbers(self, tmp_path: Path, result: dict) -> None:
        write_run(tmp_path / "a", seed=1)
        write_run(tmp_path / "b", seed=2, result=result)
        with pytest.raises(ReportError, match=r"2 versions of the code .*--allow code"):
            report_of(tmp_path)
        assert paragraphs(report_of(tmp_path, allowed=frozenset({"code"})), "warning")

    def test_another_commit_of_the_same_results_version_is_only_noted(self, tmp_path: Path) -> None:
        write_run(tmp_path / "a", seed=1)
        write_run(tmp_path / "b", seed=2, result={"git_commit": "b" * 40 + "+changes"})
        notes = paragraphs(report_of(tmp_path), "note")
        assert any("runs of 2 commits" in note for note in notes)
        assert any("uncommitted changes" in note for note in notes)


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
