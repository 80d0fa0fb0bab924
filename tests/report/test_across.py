"""Several protocols in one report, and published observations."""

import random

import pytest

from cil.report.across import seed_warnings
from cil.report.blocks import Block, Friedman
from cil.report.cli import main
from cil.report.document import Drawing, Heading, Paragraph
from cil.report.observations import read_observations
from cil.report.plots.canvas import paper_file
from cil.report.plots.ranks import alike
from tests.report.helpers import report_of, table
from tests.report.synthetic import INFONCE, accuracies, flat_matrix, write_run

VALUES = {("digits", 0.1): 60.0, ("digits", 0.3): 62.0, ("digits", None): 61.0}
VALUES |= {("cifar100", 0.1): 40.0, ("cifar100", 0.3): 43.0, ("cifar100", None): 41.0}


def headings(report):
    return [block.text for block in report.document.blocks if isinstance(block, Heading)]


def write(folder, leave_out=()):
    """digits with three tasks and cifar100 with four, so that the orders of classes are not the same."""
    for (dataset, margin), value in VALUES.items():
        for seed in (1, 2):
            if (dataset, margin, seed) in leave_out:
                continue
            keys = {"ant_margin": margin} if margin is not None else INFONCE
            matrix = flat_matrix(value + seed / 10, 3 if dataset == "digits" else 4)
            write_run(folder / f"{dataset}-{margin}-{seed}", matrix, seed=seed, dataset__name=dataset, **keys)


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
    assert rows["loss=ant ant_margin=0.3"]["without one seed"] == "+1.50 (seed 1) to +1.50 (seed 2)"
    (text,) = [b.text for b in report.document.blocks if isinstance(b, Paragraph) and "Friedman" in b.text]
    assert "3 treatments over 4 blocks" in text and "2 means of protocols" in text


def test_a_seed_that_lacks_a_setting_is_no_block(tmp_path):
    write(tmp_path, leave_out={("digits", 0.3, 2)})
    report = report_of(tmp_path)
    assert any("over 3 blocks" in b.text for b in report.document.blocks if isinstance(b, Paragraph))


def test_one_problem_has_no_ranks(tmp_path):
    for margin in (0.1, 0.3, 0.5):
        write_run(tmp_path / str(margin), ant_margin=margin)
    assert "Over all problems" not in headings(report_of(tmp_path))


def test_published_observations_need_no_runs_of_ones_own(tmp_path, capsys):
    arguments = ["--reference", "tagfex_ant_2026", "--out", str(tmp_path), "--figures", str(tmp_path / "figures")]

    assert main(arguments) == 0

    text = " ".join(capsys.readouterr().out.split())
    assert "χ² = 22.86, p = 0.118" in text and "p = 0.092" in text
    assert "+0.40 ± 0.60 points" in text and "the critical distance is 7.13" in text
    assert "infonce with seed 1993 lies -0.52 points" in text and "batch effect" in text
    assert (tmp_path / "figures" / "ranks-tagfex_ant_2026.pdf").read_bytes().startswith(b"%PDF")
    assert "<svg" in (tmp_path / "report.html").read_text()


def test_they_stand_beside_runs_too(tmp_path):
    write_run(tmp_path / "run")
    report = report_of(tmp_path, observations="tagfex_ant_2026")
    assert len(table(report, "Ranks over blocks")) == 17
    (drawing,) = [b for b in report.document.blocks if isinstance(b, Drawing) and b.title == "Mean ranks"]
    assert paper_file(drawing.plot, "svg").startswith(b"<?xml")


def test_the_same_label_of_other_settings_is_another_treatment(tmp_path):
    """In either problem the groups differ in reference_grad alone, but the margins are others."""
    for dataset, margin in (("digits", 0.1), ("cifar100", 0.9)):
        for grad in (True, False):
            keys = {"dataset__name": dataset, "ant_margin": margin, "loss.reference_grad": grad}
            write_run(tmp_path / f"{dataset}-{grad}", flat_matrix(60.0 + grad), **keys)
    assert "Over all problems" not in headings(report_of(tmp_path))


def test_two_treatments_have_differences_and_no_test_of_ranks(tmp_path):
    write(tmp_path, leave_out={(d, 0.1, s) for d in ("digits", "cifar100") for s in (1, 2)})
    report = report_of(tmp_path)
    ant, infonce = table(report, "Ranks over blocks")
    assert ant["Δ average"] == "+1.50 ± 0.58" and ant["mean rank"] == "" and infonce["treatment"].endswith("(baseline)")
    (text,) = [b.text for b in report.document.blocks if isinstance(b, Paragraph) and "Largest mean" in b.text]
    assert text.startswith("Largest mean difference to loss=infonce: loss=ant, +1.50")


def test_the_best_treatment_is_never_the_baseline_itself(tmp_path):
    for dataset in ("digits", "cifar100"):
        for value, keys in ((70.0, INFONCE), (60.0, {"ant_margin": 0.1}), (50.0, {"ant_margin": 0.3})):
            write_run(tmp_path / f"{dataset}-{value}", flat_matrix(value), dataset__name=dataset, **keys)
    report = report_of(tmp_path)
    (text,) = [b.text for b in report.document.blocks if isinstance(b, Paragraph) and "Largest mean" in b.text]
    assert "loss=ant ant_margin=0.1, -10.00" in text


def test_validation_images_rank_where_all_problems_have_some(tmp_path):
    for dataset in ("digits", "cifar100"):
        for i, margin in enumerate((0.1, 0.3, 0.5)):
            val = {"val": accuracies(flat_matrix(50.0 - i))}
            write_run(
                tmp_path / f"{dataset}-{margin}",
                flat_matrix(60.0 + i),
                result=val,
                dataset__name=dataset,
                dataset__holdout_per_class=5,
                ant_margin=margin,
            )
    rows = {row["treatment"]: row["mean rank"] for row in table(report_of(tmp_path), "Ranks over blocks")}
    assert rows["ant_margin=0.1 (baseline)"] == "1.00" and rows["ant_margin=0.5"] == "3.00"


def test_the_seed_that_stands_apart_is_named_and_no_other():
    (warning,) = seed_warnings(read_observations("tagfex_ant_2026").values)
    assert warning.startswith("infonce with seed 1993 lies -0.52 points")


def places(effect: dict[str, float], odd: dict[tuple[str, int], float] | None = None):
    """Five treatments, two protocols, three seeds: small differences, real effects, and single odd cells."""
    draws = random.Random(1)
    return {
        Block(protocol, seed): {
            name: 60 + effect.get(name, 0) + (odd or {}).get((name, seed), 0) + draws.gauss(0, 0.1)
            for name in ("a", "b", "c", "d", "e")
        }
        for protocol in ("p", "q")
        for seed in (1, 2, 3)
    }


def test_a_real_effect_is_not_accused_and_an_odd_cell_is():
    assert seed_warnings(places({"a": 5.0})) == []
    (warning,) = seed_warnings(places({"a": 5.0}, {("b", 2): 2.0}))
    assert warning.startswith("b with seed 2")
    few = {block: {name: row[name] for name in ("a", "b", "c")} for block, row in places({}, {("b", 2): 30.0}).items()}
    assert seed_warnings(few) == []  # too few to tell


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
