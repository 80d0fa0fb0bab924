"""Beside published figures."""

import json
from pathlib import Path

import pytest

from cil.report.errors import ReportError
from cil.report.reference import SHIPPED, read_reference
from tests.report.helpers import report_of, table
from tests.report.synthetic import INFONCE, flat_matrix, write_group, write_run


def test_the_shipped_file_holds_five_seeds_of_the_main_pair() -> None:
    groups = {g.label: g for g in read_reference(SHIPPED).groups if g.settings["dataset.name"] == "cifar100"}
    ant = groups["InfoNCE + 0.5 ANT, margin 0.5, reference anchor"].summary("incremental_avg_top1")
    assert ant.n == 5 and ant.mean == pytest.approx((79.35 + 79.51 + 79.35 + 78.68 + 78.61) / 5)


def test_nearest_published_settings(tmp_path: Path) -> None:
    entries = [
        {"label": name, "seed": 1, "settings": {"dataset.name": "digits", "split.base": 2, "split.increment": 2} | more}
        | {"figures": {"last_top1": value}}
        for name, value, more in (
            ("theirs", 50.0, {"loss.name": "infonce", "loss.ant_beta": None, "optimizer.lr": 0.5}),
            ("far", 40.0, {"loss.name": "ant", "loss.ant_beta": 7.0, "optimizer.lr": 0.5}),
            ("elsewhere", 1.0, {"dataset.name": "cifar100"}),
        )
    ]
    path = tmp_path / "ref.json"
    path.write_text(json.dumps({"title": "T", "note": "N", "entries": entries}))
    write_group(tmp_path / "ours", {1: 51.0, 2: 53.0}, **INFONCE)
    rows = table(report_of(tmp_path, reference=path), "Beside published figures")
    assert [row["group"] for row in rows] == ["run", "minus published: theirs", "published: theirs", "published: far"]
    assert (rows[0]["last"], rows[1]["last"], rows[1][""]) == ("52.00 ± 1.41", "+2.00", "differs in optimizer.lr")


@pytest.mark.parametrize("published", [None, 3, 9])
@pytest.mark.parametrize(("most", "learned", "beside"), [(None, 3, "whole"), (9, 3, "whole"), (2, 2, "cut")])
def test_runs_stand_beside_those_of_as_many_tasks(
    tmp_path: Path, published: int | None, most: int | None, learned: int, beside: str
) -> None:
    """Where a stream of three tasks was cut counts, not how trainer.max_tasks was written, here or there."""
    shared = {"dataset.name": "digits", "split.base": 2, "split.increment": 2, "loss.name": "infonce"}
    entries = [
        {"label": name, "settings": shared | {"trainer.max_tasks": after}, "figures": {"last_top1": 50.0}}
        for name, after in (("whole", published), ("cut", 2))
    ]
    path = tmp_path / "ref.json"
    path.write_text(json.dumps({"title": "T", "entries": entries}))
    whole = flat_matrix(50.0, tasks=3)
    stream = {"class_order": list(range(6))}
    write_run(tmp_path / "ours", whole[:learned], result=stream, **INFONCE, trainer__max_tasks=most)
    rows = table(report_of(tmp_path / "ours", reference=path), "Beside published figures")
    assert [row["group"] for row in rows if "published: " in row["group"]][-1] == f"published: {beside}"
    assert not any("published" in row["group"] and beside not in row["group"] for row in rows)
    assert [row[""] for row in rows if "minus" in row["group"]] == ["same settings, as far as published"]


@pytest.mark.parametrize("content", ["{", "{}", '{"title": "T", "entries": [{}]}', "[]"])
def test_a_wrong_file_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "ref.json"
    path.write_text(content)
    with pytest.raises(ReportError, match=r"--reference: .*ref.json: is no file of published figures"):
        read_reference(path)
