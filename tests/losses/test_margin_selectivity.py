import runpy
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).parents[2] / "scripts" / "margin_selectivity.py"


def percentages(text: str) -> list[list[float]]:
    """Columns of the table: margin, share by anchor, negatives per anchor, share by block."""
    rows = [line.strip("| ").replace(" %", "").split("|") for line in text.strip().splitlines()[2:]]
    return [[float(cell) for cell in column] for column in zip(*rows, strict=True)]


def test_the_table_shows_that_a_larger_margin_is_less_selective(capsys):
    runpy.run_path(str(SCRIPT))["main"](["--images", "16", "--margins", "0.1", "0.3", "0.9"])
    margins, anchor, count, block = percentages(capsys.readouterr().out)
    assert margins == [0.1, 0.3, 0.9]
    for column in (anchor, count, block):
        assert column == sorted(column)
        assert column[0] < column[-1]


def test_rows_can_come_from_a_file(tmp_path, capsys):
    np.save(tmp_path / "rows.npy", np.eye(6, 8, dtype=np.float32))
    runpy.run_path(str(SCRIPT))["main"](["--embeddings", str(tmp_path / "rows.npy"), "--margins", "0", "0.5"])
    assert percentages(capsys.readouterr().out) == [[0.0, 0.5], [0.0, 100.0], [0.0, 2.0], [0.0, 100.0]]
