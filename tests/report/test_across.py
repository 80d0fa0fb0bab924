"""Several protocols in one report, and published observations."""

import pytest

from cil.report.across import seed_warnings
from cil.report.blocks import Friedman
from cil.report.cli import main
from cil.report.document import Drawing, Heading, Paragraph
from cil.report.observations import read_observations
from cil.report.plots.canvas import paper_file
from cil.report.plots.ranks import alike
from tests.report.helpers import report_of, table
from tests.report.synthetic import INFONCE, flat_matrix, write_run

VALUES = {("digits", 0.1): 60.0, ("digits", 0.3): 62.0, ("digits", None): 61.0}
VALUES |= {("cifar100", 0.1): 40.0, ("cifar100", 0.3): 43.0, ("cifar100", None): 41.0}


def write(folder, leave_out=()):
    for (dataset, margin), value in VALUES.items():
        for seed in (1, 2):
            if (dataset, margin, seed) in leave_out:
                continue
            keys = {"ant_margin": margin} if margin is not None else INFONCE
            accuracies = flat_matrix(value + seed / 10)
            write_run(folder / f"{dataset}-{margin}-{seed}", accuracies, seed=seed, dataset__name=dataset, **keys)


def test_settings_that_all_problems_have_are_ranked(tmp_path):
    write(tmp_path)
    report = report_of(tmp_path)

    rows = {row["treatment"]: row for row in table(report, "Ranks over blocks")}
    assert {name: row["mean rank"] for name, row in rows.items()} == {
        "loss=ant ant_margin=0.3": "1.00",
        "loss=infonce (baseline)": "2.00",
        "loss=ant ant_margin=0.1": "3.00",
    }
    assert rows["loss=ant ant_margin=0.3"]["Δ average"] == "+1.50 ± 0.58"
    assert rows["loss=ant ant_margin=0.3"]["without one seed"].startswith("+1.50")
    (text,) = [b.text for b in report.document.blocks if isinstance(b, Paragraph) and "Friedman" in b.text]
    assert "3 treatments over 4 blocks" in text and "2 means of protocols" in text


def test_a_seed_that_lacks_a_setting_is_no_block(tmp_path):
    write(tmp_path, leave_out={("digits", 0.3, 2)})
    report = report_of(tmp_path)
    assert any("over 3 blocks" in b.text for b in report.document.blocks if isinstance(b, Paragraph))


def test_one_problem_has_no_ranks(tmp_path):
    for margin in (0.1, 0.3, 0.5):
        write_run(tmp_path / str(margin), ant_margin=margin)
    headings = [b.text for b in report_of(tmp_path).document.blocks if isinstance(b, Heading)]
    assert "Over all problems" not in headings


def test_published_observations_need_no_runs_of_ones_own(tmp_path, capsys):
    arguments = ["--reference", "tagfex_ant_2026", "--out", str(tmp_path), "--figures", str(tmp_path / "figures")]

    assert main(arguments) == 0

    text = " ".join(capsys.readouterr().out.split())
    assert "χ² = 22.86, p = 0.118" in text and "p = 0.092" in text
    assert "+0.40 ± 0.60 points" in text and "the critical distance is 7.13" in text
    assert "infonce with seed 1993 lies -0.62 points" in text and "batch effect" in text
    assert (tmp_path / "figures" / "ranks-tagfex_ant_2026.pdf").read_bytes().startswith(b"%PDF")
    assert "<svg" in (tmp_path / "report.html").read_text()


def test_they_stand_beside_runs_too(tmp_path):
    write_run(tmp_path / "run")
    report = report_of(tmp_path, observations="tagfex_ant_2026")
    assert len(table(report, "Ranks over blocks")) == 17
    (drawing,) = [b for b in report.document.blocks if isinstance(b, Drawing) and b.title == "Mean ranks"]
    assert paper_file(drawing.plot, "svg").startswith(b"<?xml")


def test_the_seed_that_stands_apart_is_named_and_no_other_of_infonce():
    warnings = seed_warnings(read_observations("tagfex_ant_2026").values)
    assert [text.split(" lies ")[0] for text in warnings] == [
        "ant_first_anchor with seed 1993",
        "infonce with seed 1993",
    ]


@pytest.mark.parametrize(
    ("ranks", "critical", "expected"),
    [
        ({"a": 1.0, "b": 1.5, "c": 3.0}, 1.0, [(1.0, 1.5)]),
        ({"a": 1.0, "b": 2.0, "c": 3.0}, 1.0, [(1.0, 2.0), (2.0, 3.0)]),
        ({"a": 1.0, "b": 2.0, "c": 3.0}, 5.0, [(1.0, 3.0)]),
        ({"a": 1.0, "b": 2.0, "c": 3.0}, 0.5, []),
    ],
)
def test_bars_join_what_cannot_be_told_apart(ranks, critical, expected):
    assert alike(Friedman(5, ranks, 0.0, 1.0, critical)) == expected
