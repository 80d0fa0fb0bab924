"""The mechanism in the report: means over what was measured, and pictures of it."""

import pytest

from cil.report.build import Request, build
from cil.report.curves import MAX_EPOCHS, read_curves
from cil.report.document import Drawing
from cil.report.mechanism import operator_table
from cil.report.operators import BRANCHES, OPERATORS, mean_of
from cil.report.plots.canvas import page_panels, paper_file
from cil.report.plots.mechanism import mechanism_plots
from tests.report.helpers import problem_of, report_of, table
from tests.report.synthetic import INFONCE, metrics, write_run


def looked_at(active=0.2, norms=None):
    """Tag -> one value an epoch (two epochs)."""
    curves = {"contrast/gap": [0.5, 0.6]}
    for b, branch in enumerate(BRANCHES):
        for o, operator in enumerate(OPERATORS):
            at = f"mechanism/{branch}/{operator}"
            curves |= {f"{at}/active_share": [active + o / 10, active + o / 10 - b / 10]}
            curves |= {f"{at}/false_negative_share": [0.3, 0.5], f"{at}/own_class_reference": [0.25, 0.25]}
            curves |= {f"{at}/reference_raised": [1.0, 1.0], f"{at}_detached/reference_raised": [0.0, 0.0]}
            curves |= {f"{at}/detached_norm": [0.1, 0.2], f"{at}/cosine_nce": [-0.01, -0.03]}
            curves |= {f"{at}_detached/cosine_nce": [0.04, 0.06]}
        rest = {"own_class_share": [0.1, 0.1], "positive_probability": [0.2, 0.4], "negatives_above_positive": [0.1, 0]}
        curves |= {f"mechanism/{branch}/{name}": values for name, values in rest.items()}
        curves |= {f"mechanism/{branch}/ant_above_floor": [0.02, 0.04]}
        for network, norm in (norms or {}).items():
            curves |= {f"mechanism/{branch}/ant_over_nce/{network}": [norm, norm]}
            curves |= {f"mechanism/{branch}/cosine/{network}": [0.5, 0.3]}
    return curves


@pytest.fixture
def runs(tmp_path):
    for seed in (1, 2):
        write_run(tmp_path / f"ant-{seed}", seed=seed, curves=looked_at(norms={"ta_net": 0.08}))
        write_run(tmp_path / f"infonce-{seed}", seed=seed, curves=looked_at(active=0.4), **INFONCE)
    write_run(tmp_path / "not-looked-at", seed=3)
    return tmp_path


def test_operators_are_averaged_over_matrices_then_over_runs(runs):
    rows = {row["operator"]: row for row in table(report_of(runs), "Mechanism: what each form")}

    assert list(rows) == list(OPERATORS)
    row = rows["first_anchor"]
    assert row["active % (contrast / distill)"] == "40.0 / 35.0"  # (30 + 50) / 2, five less in every other epoch
    assert row["own class %"] == "40.0" and row["times"] == "4.0"
    assert row["raised %"] == "100.0 / 0.0" and row["detached norm %"] == "15.0"
    assert row["cosine with InfoNCE"] == "-0.020 → +0.050"


def test_the_own_loss_has_a_row_a_group(runs):
    rows = {row["group"]: row for row in table(report_of(runs), "Mechanism: the runs' own loss")}

    ant, infonce = rows["loss=ant"], rows["loss=infonce"]
    assert ant["n"] == infonce["n"] == "2"
    assert ant["ANT / InfoNCE, ta_net"] == "8.0 %, cos +0.400" and infonce["ANT / InfoNCE, ta_net"] == ""
    assert ant["positive"] == "0.300" and ant["above %"] == "5.0"
    assert ant["floor"] == "0.030" and infonce["floor"] == ""


def test_without_figures_there_is_nothing(tmp_path):
    write_run(tmp_path / "run")
    assert operator_table(problem_of(tmp_path)) is None and mechanism_plots(problem_of(tmp_path)) == []


def test_pictures_stand_alone_and_say_what_they_show(runs):
    report = build(Request([runs]))
    drawn = [b for b in report.document.blocks if isinstance(b, Drawing) and b.plot.name.startswith("mechanism")]

    assert [block.plot.name for block in drawn] == ["mechanism", "mechanism_active"]
    (direction, norms, false), active = drawn[0].plot.panels, drawn[1].plot.panels
    assert "direction" in direction.describe and "norm" in norms.describe and "false negatives" in false.describe
    assert len(active) == 2  # a panel a branch
    for block in drawn:
        assert paper_file(block.plot, "pdf").startswith(b"%PDF")
        for svg, hover in page_panels(block.plot):
            assert svg.startswith("<svg") and all(one["points"] for one in hover)


def test_thinning_keeps_every_epoch_that_was_looked_at(tmp_path):
    epochs = 3 * MAX_EPOCHS
    values = [0.1 if epoch % 50 == 7 else None for epoch in range(epochs)]
    text = metrics(1, {"contrast/gap": [0.5] * epochs, "mechanism/contrast/own_class_share": values})
    text = text.replace(', "mechanism/contrast/own_class_share": null', "")  # a run leaves out what it did not look at
    (tmp_path / "metrics.jsonl").write_text(text)

    curves = read_curves(tmp_path / "metrics.jsonl")

    found = curves.values["mechanism/contrast/own_class_share"]
    assert sum(value is not None for value in found) == sum(value is not None for value in values)
    assert len(curves.steps) < 2 * MAX_EPOCHS


def test_a_mean_is_over_branches_and_epochs(runs):
    run = next(run for run in problem_of(runs).runs if run.settings["loss.name"] == "ant" and run.seed == 1)
    assert mean_of(run, "first_global/active_share", ["contrast"]) == pytest.approx(0.2)
    assert mean_of(run, "first_global/active_share") == pytest.approx((0.2 + 0.2 + 0.2 + 0.1) / 4)
    assert mean_of(run, "no/such/figure") is None
