"""Names of groups as the user wants them."""

from pathlib import Path

import pytest

from cil.report.errors import ReportError
from tests.report.helpers import paragraphs, report_of, table
from tests.report.synthetic import INFONCE, write_group, write_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_group(tmp_path / "base", {1: 60.0, 2: 70.0}, **INFONCE)
    write_group(tmp_path / "ant", {1: 61.0, 2: 71.5})
    return tmp_path


MAP = "{loss=infonce: InfoNCE, loss=ant: ANT}"


@pytest.mark.parametrize("form", ["mapping", "file"])
def test_they_stand_everywhere(folder: Path, form: str) -> None:
    (folder / "names.yaml").write_text("loss=infonce: InfoNCE\nloss=ant: ANT\n")
    report = report_of(folder, labels=MAP if form == "mapping" else str(folder / "names.yaml"))
    assert [row["group"] for row in table(report, "Results")] == ["ANT", "InfoNCE (baseline)"]
    assert paragraphs(report, "conclusion")[0].startswith("Not shown that ANT differs from InfoNCE")


def test_a_group_may_keep_its_own(folder: Path) -> None:
    report = report_of(folder, labels="{loss=ant: ANT}")
    assert {row["variant"] for row in table(report, "Against the baseline: average")} == {"ANT"}
    assert "loss=infonce" in paragraphs(report, "conclusion")[0]


def test_runs_that_train_the_same_take_the_wanted_name(tmp_path: Path) -> None:
    for margin in (0.1, 0.3):
        write_run(tmp_path / f"nce{margin}", **{**INFONCE, "ant_margin": margin})
    write_run(tmp_path / "ant")
    report = report_of(tmp_path, labels="{loss=infonce ant_margin=0.1: InfoNCE}")
    assert "differs from InfoNCE:" in paragraphs(report, "conclusion")[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{loss=nt_xent: X}", "no group is called 'loss=nt_xent'; groups: loss=ant; loss=infonce"),
        ("{loss=infonce: X, loss=ant: X}", "'X' would be the name of several groups"),
        ("loss=ant", "is no mapping; e.g. --labels"),
        ("{a: [", "is no YAML; e.g. --labels"),
        ("nowhere.yaml", "nowhere.yaml: cannot be read: No such file"),
    ],
)
def test_refused_in_one_line(folder: Path, text: str, expected: str) -> None:
    with pytest.raises(ReportError, match="--labels: ") as error:
        report_of(folder, labels=text)
    assert expected in str(error.value) and "\n" not in str(error.value)
