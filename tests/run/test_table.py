from cil.engine.metrics import AccuracyHistory, kinds
from cil.run.table import result_table

HEADS = ("classifier", "nme")


def test_tasks_stand_in_numeric_order_and_absent_values_as_a_dash():
    history = AccuracyHistory(HEADS)
    for task in range(12):
        row = [float(i) for i in range(task + 1)]
        history.add(
            {kind: row if kind == "top1" else [None] * (task + 1) for kind in kinds(HEADS)},
            {kind: float(task) if kind == "top1" else None for kind in kinds(HEADS)},
        )
    result = {"matrices": history.matrices, "curves": history.curves} | history.figures()
    lines = result_table(result).splitlines()
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
