import re

import pytest

from cil.engine.metrics import AccuracyHistory, kinds
from cil.run import table as table_module
from cil.run.table import result_table, table

HEADS = ("classifier", "nme")


def of_tasks(tasks):
    """A result of so many tasks, without NME figures."""
    history = AccuracyHistory(HEADS)
    for task in range(tasks):
        row = [float(i) for i in range(task + 1)]
        history.add(
            {kind: row if kind == "top1" else [None] * (task + 1) for kind in kinds(HEADS)},
            {kind: float(task) if kind == "top1" else None for kind in kinds(HEADS)},
        )
    return {"matrices": history.matrices, "curves": history.curves} | history.figures()


def test_tasks_stand_in_numeric_order_and_absent_values_as_a_dash():
    lines = result_table(of_tasks(12)).splitlines()
    assert lines[0].split() == ["after", "task", *(f"t{i}" for i in range(1, 13)), "all", "top-5", "NME"]
    assert lines[12].split() == ["12", *(f"{i}.0" for i in range(12)), "11.0", "-", "-"]
    assert lines[-4].split() == ["incremental", "average", "5.5", "-"]


def test_a_zero_has_no_sign():
    history, names = AccuracyHistory(HEADS), kinds(HEADS)
    history.add({kind: [50.0] for kind in names}, dict.fromkeys(names, 50.0))
    history.add({kind: [50.0 + 1e-9, 50.0] for kind in names}, dict.fromkeys(names, 50.0))
    result = {"matrices": history.matrices, "curves": history.curves} | history.figures()
    assert result["forgetting_top1"] < 0
    assert result_table(result).splitlines()[-1].split() == ["forgetting", "0.0", "0.0"]


ROWS = [
    ["state", "folder", "average", "settings"],
    ["ok", "09225460ecd1", "63.86", "loss=ant margin_schedule.epochs=[0,60,120,170] seed=1"],
    ["failed", "22426092ab84", "-", "loss=infonce"],
]


def on_terminal(monkeypatch, width):
    monkeypatch.setattr(table_module, "window", lambda: width)


def without_styles(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_a_pipe_gets_plain_text():
    assert table(ROWS, texts=(0, 1, 3)).splitlines() == [
        "state   folder        average  settings",
        "ok      09225460ecd1    63.86  loss=ant margin_schedule.epochs=[0,60,120,170] seed=1",
        "failed  22426092ab84        -  loss=infonce",
    ]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_terminal_gets_a_table_that_fits_its_window(monkeypatch, width):
    on_terminal(monkeypatch, width)
    text = table(ROWS, texts=(0, 1, 3))
    lines = without_styles(text).splitlines()
    assert all(len(line) <= width for line in lines)
    assert (len(lines) > 4) == (width < 100), "the last column is folded"
    assert "".join(line[lines[0].index("settings") :] for line in lines[2:-1]).replace(" ", "") == ROWS[1][3].replace(
        " ", ""
    )
    assert text != "\n".join(lines), "in colour"


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_long_result_shows_its_first_and_last_tasks_in_a_narrow_window(monkeypatch, width):
    on_terminal(monkeypatch, width)
    lines = without_styles(result_table(of_tasks(20))).splitlines()
    assert all(len(line) <= width for line in lines)
    shown = lines[0].split()
    assert shown[:4] == ["after", "task", "t1", "t2"] and shown[-4:] == ["t20", "all", "top-5", "NME"]
    assert "…" in shown
    last = lines[21].split()
    assert last[:2] == ["20", "0.0"] and last[-4:-2] == ["19.0", "19.0"]


def test_a_result_that_fits_is_shown_whole(monkeypatch):
    on_terminal(monkeypatch, 100)
    lines = without_styles(result_table(of_tasks(5))).splitlines()
    assert lines[0].split()[2:7] == ["t1", "t2", "t3", "t4", "t5"]
