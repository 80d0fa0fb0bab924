"""Runs that must not be averaged."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from cil.report.errors import ReportError
from tests.report.helpers import paragraphs, report_of, table
from tests.report.synthetic import INFONCE, flat_matrix, write_run


def test_two_class_orders_are_not_averaged(tmp_path: Path) -> None:
    for order in (0, 1):
        write_run(tmp_path / str(order), flat_matrix(50.0 + order), class_order="random", class_order_seed=order)
    with pytest.raises(ReportError, match=r"2 class orders .*random with class_order_seed 0.*--allow class_order"):
        report_of(tmp_path)
    report = report_of(tmp_path, allowed=frozenset({"class_order"}))
    assert table(report, "Results")[0]["n"] == "2"
    assert "averaged all the same (--allow class_order)" in paragraphs(report, "warning")[0]


def test_baseline_and_variant_of_different_class_orders_are_not_compared(tmp_path: Path) -> None:
    write_run(tmp_path / "a", class_order="random", class_order_seed=0)
    write_run(tmp_path / "b", class_order="random", class_order_seed=1, **INFONCE)
    with pytest.raises(ReportError, match="2 class orders"):
        report_of(tmp_path)


def test_two_test_sets(tmp_path: Path) -> None:
    write_run(tmp_path / "a", seed=1)
    write_run(tmp_path / "b", seed=2, dataset__max_test_per_class=10)
    with pytest.raises(ReportError, match=r"2 test sets .*--allow test_set"):
        report_of(tmp_path)
    report = report_of(tmp_path, allowed=frozenset({"test_set"}))
    assert table(report, "Results")[0]["n"] == "2"
    (warning,) = paragraphs(report, "warning")
    assert "max_test_per_class null" in warning and "max_test_per_class 10" in warning
    assert "class_list" not in warning and len(warning) < 200 + 2 * len(str(tmp_path)), "only what differs is named"


def test_other_training_images_are_no_other_test_set(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_run(tmp_path / f"whole{seed}", seed=seed)
        write_run(tmp_path / f"held{seed}", seed=seed, dataset__holdout_per_class=10)
    report = report_of(tmp_path)
    assert [problem.title for problem in report.problems] == [
        "digits, 3 tasks of 2 classes",
        "digits, 3 tasks of 2 classes, 10 training images a class held out",
    ]
    assert not paragraphs(report, "warning") and not report.excluded


def test_runs_that_differ_in_their_number_of_training_images_are_two_groups(tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", dataset__max_train_per_class=5)
    assert len(table(report_of(tmp_path), "Results")) == 2


def test_a_refused_problem_takes_no_other_with_it(tmp_path: Path) -> None:
    for order in (0, 1):
        write_run(tmp_path / f"mixed{order}", class_order="random", class_order_seed=order)
    write_run(tmp_path / "other", flat_matrix(50.0, tasks=2))
    report = report_of(tmp_path)
    assert [problem.title for problem in report.problems] == ["digits, 2 tasks of 2 classes"]
    (warning,) = paragraphs(report, "warning")
    assert warning.startswith("digits, 3 tasks of 2 classes: refused, the runs have 2 class orders")
    assert "--allow class_order" in warning
    lost = [Path(row["run"]).name for row in table(report, "Runs that do not count")]
    assert sorted(lost) == ["mixed0", "mixed1"]


def test_of_the_code_only_the_parts_that_differ_are_named(tmp_path: Path) -> None:
    write_run(tmp_path / "a", seed=1)
    write_run(tmp_path / "b", seed=2, result={"part_versions": {"optimizer": 2}})
    with pytest.raises(ReportError, match=r"\(optimizer 1 in [^;,]*; optimizer 2 in [^;,]*\)"):
        report_of(tmp_path)


def test_same_shape_but_other_classes(tmp_path: Path) -> None:
    write_run(tmp_path / "a", flat_matrix(50.0, tasks=1), seed=1, dataset__root="/a")
    tasks = [{"task": 1, "size": 2, "classes": [0, 1], "names": ["car", "bus"], "test_images": 20}]
    write_run(tmp_path / "b", flat_matrix(50.0, tasks=1), seed=2, dataset__root="/b", result={"tasks": tasks})
    with pytest.raises(ReportError, match="2 test sets"):
        report_of(tmp_path)


def test_two_class_lists(tmp_path: Path) -> None:
    for name in ("a", "b"):
        class_list = {"file": "list.txt", "sha256": name * 64}
        write_run(tmp_path / name, result={"class_list": class_list}, dataset__class_list=f"/{name}.txt")
    with pytest.raises(ReportError, match="2 test sets"):
        report_of(tmp_path)


def test_one_class_list_written_in_two_ways(tmp_path: Path) -> None:
    tasks = [{"task": 1, "size": 2, "classes": [0, 1], "names": ["car", "bus"], "test_images": 20}]
    for name, sha in (("a", "a" * 64), ("b", sha256(b"bus\ncar").hexdigest())):
        result = {"class_list": {"file": f"{name}.txt", "sha256": sha}, "tasks": tasks}
        matrix = flat_matrix(50.0, tasks=1)
        write_run(tmp_path / name, matrix, seed=ord(name) - ord("a"), result=result, dataset__class_list=f"/{name}.txt")
    assert table(report_of(tmp_path), "Results")[0]["n"] == "2", "an older result beside a newer one"
    tasks[0]["names"] = ["car", "van"]
    result = {"class_list": {"file": "c.txt", "sha256": sha}, "tasks": tasks}
    write_run(tmp_path / "c", matrix, seed=3, result=result, dataset__class_list="/c.txt")
    with pytest.raises(ReportError, match="2 test sets"):
        report_of(tmp_path)


def test_other_images_under_the_same_settings(tmp_path: Path) -> None:
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
def test_code_that_moved_numbers(tmp_path: Path, result: dict) -> None:
    write_run(tmp_path / "a", seed=1)
    write_run(tmp_path / "b", seed=2, result=result)
    with pytest.raises(ReportError, match=r"2 versions of the code .*--allow code"):
        report_of(tmp_path)
    assert paragraphs(report_of(tmp_path, allowed=frozenset({"code"})), "warning")


def test_another_commit_of_the_same_results_version_is_only_noted(tmp_path: Path) -> None:
    write_run(tmp_path / "a", seed=1)
    write_run(tmp_path / "b", seed=2, result={"git_commit": "b" * 40 + "+changes"})
    notes = paragraphs(report_of(tmp_path), "note")
    assert any("runs of 2 commits" in note for note in notes)
    assert any("uncommitted changes" in note for note in notes)
