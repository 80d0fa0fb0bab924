"""Expectations: met, not met, not measured."""

from pathlib import Path

import pytest

from cil.config.locations import config_dir
from cil.report.baseline import choose_baselines
from cil.report.errors import ReportError
from cil.report.expect import evaluate, moment, read_expectations
from cil.report.runs import Run, read_run
from tests.report.helpers import problem_of, report_of, table
from tests.report.synthetic import INFONCE, write_group, write_run


def judged(folder: Path, text: str, baseline: str | None = None) -> list[tuple[str, str, str]]:
    """(group, state, measured) of one expectation over the runs in `folder`."""
    path = folder / "wanted.yaml"
    path.write_text(f"expect:\n  - {{{text}}}\n")
    problem = problem_of(folder)
    choose_baselines([problem], baseline)
    return [(o.group, o.state, o.measured) for o in evaluate(problem, [read_expectations(path)], ["wanted"])]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_group(tmp_path / "base", {1: 50.0, 2: 60.0, 3: 70.0}, **INFONCE)
    write_group(tmp_path / "good", {1: 52.1, 2: 62.0, 3: 72.2}, ant_margin=0.1)
    write_group(tmp_path / "vague", {1: 49.0, 2: 60.0, 3: 72.0}, ant_margin=0.3)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ('figure: contrast/gap, is: ">=", value: 0.7', "met"),
        ("figure: gap, is: between, value: [0.81, 0.9]", "not met"),
        ('figure: violation_rate, is: "<", value: 0, at: change', "met"),
        ('figure: violation_rate, is: ">", value: 0, at: task_change', "not met"),
        ("figure: violation_rate, is: between, value: [0, 0], at: between_tasks", "met"),
        ("figure: violation_rate, is: between, value: [0.3, 0.3], at: start", "met"),
        ('figure: grad/ant, is: ">", value: 0.1', "not measured"),
    ],
)
def test_figures_by_themselves(folder: Path, text: str, state: str) -> None:
    assert [one[1] for one in judged(folder, text)] == [state] * 3


def test_relative_to_the_baseline_only_the_whole_interval_counts(folder: Path) -> None:
    outcomes = judged(folder, 'figure: last_top1, is: ">", value: 0, relative_to: baseline', "loss=infonce")
    assert [one[:2] for one in outcomes] == [
        ("loss=ant ant_margin=0.1", "met"),
        ("loss=ant ant_margin=0.3", "not met"),
        ("loss=infonce", "not measured"),
    ]
    assert "on average, but not beyond doubt" in outcomes[1][2]
    assert outcomes[2][2] == "this is the group compared with"


def test_the_reports_guess_is_no_baseline_for_an_expectation(folder: Path) -> None:
    outcomes = judged(folder, 'figure: last_top1, is: ">", value: 0, relative_to: baseline')
    assert {one[1:] for one in outcomes} == {
        ("not measured", "no single group is named baseline; --baseline says which one is meant")
    }


def test_nothing_is_judged_against_a_group_that_differs_in_more_than_the_loss(tmp_path: Path) -> None:
    write_group(tmp_path / "base", {1: 50.0, 2: 50.2, 3: 50.1}, name="baseline")
    write_group(tmp_path / "ant", {1: 60.0, 2: 60.1, 3: 60.3}, trainer__grad_clip_norm=1.0, ant_margin=0.3)
    outcomes = judged(tmp_path, 'figure: last_top1, is: ">", value: 0, relative_to: baseline, where: ant_margin=0.3')
    ((_, state, measured),) = outcomes
    assert state == "not measured" and "trainer.grad_clip_norm" in measured


def test_relative_to_another_group(folder: Path) -> None:
    text = (
        'figure: last_top1, is: "<", value: 1, as: ratio, relative_to: ant_margin=0.1 loss=ant, where: ant_margin=0.3'
    )
    assert judged(folder, text)[0][:2] == ("loss=ant ant_margin=0.3", "not met")
    missing = judged(folder, 'figure: last_top1, is: ">", value: 0, relative_to: ant_margin=0.9')
    assert {one[1:] for one in missing} == {("not measured", "no group fits ant_margin=0.9")}
    nobody = judged(folder, 'figure: last_top1, is: ">", value: 0, where: ant_margin=0.9')
    assert nobody == [("", "not measured", "no run with ant_margin=0.9")]


def test_of_groups_that_train_the_same_the_one_with_the_same_margin_is_compared_with(tmp_path: Path) -> None:
    for margin, base, rate in ((0.1, 0.2, 0.3), (0.3, 0.5, 0.4)):
        for seed in (1, 2):
            for name, value, keys in (("nce", base, INFONCE), ("ant", rate + 0.01 * seed, {})):
                curves = {"loss/total": [1.0, margin], "contrast/violation_rate": [0.9, value]}
                settings = {**keys, "ant_margin": margin}
                write_run(tmp_path / f"{name}{margin}{seed}", seed=seed, curves=curves, **settings)
    text = 'figure: violation_rate, is: ">", value: 0, relative_to: loss=infonce, where: loss=ant'
    found = {group: measured for group, _, measured in judged(tmp_path, text)}
    assert found["loss=ant ant_margin=0.1"].startswith("0.115 (")
    assert found["loss=ant ant_margin=0.3"].startswith("-0.085 (")


def test_one_common_seed_is_not_enough(tmp_path: Path) -> None:
    write_group(tmp_path / "base", {1: 50.0}, **INFONCE)
    write_group(tmp_path / "ant", {1: 60.0})
    text = 'figure: last_top1, is: ">", value: 0, relative_to: loss=infonce, where: loss=ant'
    ((_, state, measured),) = judged(tmp_path, text)
    assert state == "not measured" and "needs two" in measured


def test_changes_over_tasks(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "a", curves={"contrast/gap": [0.2, 0.5, 0.8]}))
    assert isinstance(run, Run)
    changes = {at: moment(run, "gap", at) for at in ("start", "end", "change", "task_change", "between_tasks")}
    assert changes == {
        "start": 0.2,
        "end": 0.8,
        "change": pytest.approx(0.6),
        "task_change": pytest.approx(0.6),
        "between_tasks": 0.0,
    }
    assert moment(run, "last_top1", "change") is None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("expect: []", "has no list `expect`"),
        ("[", "cannot be read"),
        ("expect: [{figure: gap, is: '>', value: 0, wehre: x}]", "unknown key wehre"),
        ("expect: [{figure: gap, is: '>'}]", "value is missing"),
        ("expect: [{figure: gap, is: '=', value: 0}]", "is: '=' is unknown"),
        ("expect: [{figure: gap, is: between, value: 1}]", r"is not \[low, high\]"),
        ("expect: [{figure: gap, is: between, value: [0.9, 0.1]}]", r"value: \[0.9, 0.1\] is not \[low, high\]"),
        ("expect: [{figure: gap, is: '>', value: high}]", "is not a number"),
        ("expect: [{figure: gap, is: '>', value: 0, at: once}]", "at: 'once' is unknown"),
        ("expect: [{figure: gap, is: '>', value: 0, where: 'a=1 b'}]", "'b' is not KEY=VALUE"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, content: str, expected: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(ReportError, match=f"bad.yaml: .*{expected}"):
        read_expectations(path)


def test_a_file_asked_for_is_judged_for_every_group(folder: Path) -> None:
    path = folder / "mine.yaml"
    path.write_text("expect:\n  - {text: gap is high, figure: gap, is: '>', value: 0.7}\n")
    rows = table(report_of(folder, expect=[str(path)]), "Expectations")
    assert [(row["expected"], row["outcome"]) for row in rows] == [("gap is high", "MET")] * 3
    with pytest.raises(ReportError, match="--expect: no file"):
        report_of(folder, expect=["no_such_experiment"])


def test_every_file_of_the_project_is_valid() -> None:
    for path in sorted((config_dir() / "expect").glob("*.yaml")):
        assert read_expectations(path).expectations
