"""Reading metrics.jsonl."""

from pathlib import Path

import pytest

from cil.report.curves import MAX_EPOCHS, read_curves
from tests.report.synthetic import metrics


def written(folder: Path, text: str) -> Path:
    path = folder / "metrics.jsonl"
    path.write_text(text)
    return path


def test_epochs_in_order_with_task_bounds(tmp_path: Path) -> None:
    curves = read_curves(written(tmp_path, metrics(12, {"loss/total": [3.0, 2.0, 1.0]})))
    assert curves.steps == list(range(1, 37))
    assert curves.bounds()[9] == (27, 29) and curves.tasks[27] == 10
    assert curves.at("loss/total", -1) == 1.0


def test_a_tag_that_comes_late_is_none_before(tmp_path: Path) -> None:
    text = metrics(1, {"a/b": [1.0]}) + '{"kind": "epoch", "task": 2, "epoch": 1, "step": 2, "c/d": 5}\n'
    curves = read_curves(written(tmp_path, text))
    assert curves.values == {"a/b": [1.0, None], "c/d": [None, 5]}


def test_a_step_written_twice_counts_as_last_written(tmp_path: Path) -> None:
    again = '{"kind": "epoch", "task": 1, "epoch": 2, "step": 2, "a/b": 9.0}\n'
    curves = read_curves(written(tmp_path, metrics(1, {"a/b": [1.0, 2.0, 3.0]}) + again))
    assert curves.values["a/b"] == [1.0, 9.0, 3.0]


def test_a_line_cut_short_by_a_kill_is_left_out(tmp_path: Path) -> None:
    text = metrics(1, {"a/b": [1.0]}) + '{"kind": "epoch", "task": 1, "epoch": 2, "step": 2, "a/'
    assert read_curves(written(tmp_path, text)).steps == [1]


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    text = '{"kind": "epoch", "task": 1, "epoch": 1, "step": 1, oops}\n' + metrics(1, {"a/b": [1.0, 2.0]})
    with pytest.raises(ValueError, match="line 1 is not JSON"):
        read_curves(written(tmp_path, text.replace('"step": 1, "a/b"', '"step": 3, "a/b"')))


def test_long_runs_are_thinned_but_keep_the_ends_of_tasks(tmp_path: Path) -> None:
    epochs = [float(i) for i in range(1000)]
    curves = read_curves(written(tmp_path, metrics(2, {"a/b": epochs})))
    assert curves.epochs == 2000 and len(curves.steps) < MAX_EPOCHS + 10
    kept = [curves.steps[i] for bounds in curves.bounds() for i in bounds]
    assert kept == [1, 1000, 1001, 2000]
    assert curves.at("a/b", -1) == 999.0
