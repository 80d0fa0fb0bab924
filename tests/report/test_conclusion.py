"""The answer in one sentence."""

from pathlib import Path
from typing import Any

import pytest

from tests.report.helpers import paragraphs, report_of
from tests.report.synthetic import INFONCE, accuracies, flat_matrix, write_group, write_run

BASE = {1: 60.0, 2: 70.0, 3: 80.0}


def conclusion(folder: Path, **request: Any) -> str:
    (text,) = paragraphs(report_of(folder, **request), "conclusion")
    return text


@pytest.mark.parametrize(
    ("base", "ant", "expected"),
    [
        (
            BASE,
            {1: 62.0, 2: 72.1, 3: 81.9},
            "loss=ant is better than loss=infonce: average top-1 +2.00 points "
            "(95 % CI 1.75 to 2.25; corrected p <0.001; 3 seeds).",
        ),
        (BASE, {1: 58.0, 2: 67.9, 3: 78.1}, "loss=ant is worse than loss=infonce: average top-1 -2.00 points"),
        (BASE, {1: 61.0, 2: 69.0, 3: 80.5}, "Not shown that loss=ant differs from loss=infonce: average top-1 +0.17"),
        ({1: 60.0}, {1: 70.0}, "One seed says nothing about the next one"),
        ({1: 60.0}, {2: 70.0}, "they have no seed in common"),
        ({1: 60.0, 2: 70.0}, {1: 61.0, 2: 71.0}, "All seeds agree to the last digit"),
        ({1: 60.0, 2: 70.0}, {1: 61.0, 2: 71.5}, "With 2 seeds only a large difference could be shown."),
    ],
    ids=["better", "worse", "unclear", "one seed", "no pair", "no spread", "two seeds"],
)
def test_one_variant(tmp_path: Path, base: dict, ant: dict, expected: str) -> None:
    write_group(tmp_path / "base", base, **INFONCE)
    write_group(tmp_path / "ant", ant)
    assert expected in conclusion(tmp_path)


def test_several_variants_and_what_is_worse(tmp_path: Path) -> None:
    write_group(tmp_path / "base", BASE, **INFONCE)
    write_group(tmp_path / "a", {1: 62.0, 2: 72.1, 3: 81.9}, ant_margin=0.1)
    write_group(tmp_path / "b", {1: 58.0, 2: 67.9, 3: 78.1}, ant_margin=0.3)
    text = conclusion(tmp_path)
    assert text.startswith(
        "1 of 2 variants is better than loss=infonce; the best is loss=ant ant_margin=0.1: average top-1 +2.00 points"
    )
    assert "Worse: loss=ant ant_margin=0.3." in text
    assert "last (1 better, 1 worse)" in text


def test_none_better_names_the_best(tmp_path: Path) -> None:
    write_group(tmp_path / "base", BASE, **INFONCE)
    write_group(tmp_path / "a", {1: 61.0, 2: 69.0, 3: 80.5}, ant_margin=0.1)
    write_group(tmp_path / "b", {1: 58.0, 2: 67.9, 3: 78.1}, ant_margin=0.3)
    text = conclusion(tmp_path)
    assert text.startswith(
        "None of 2 variants is shown to be better than loss=infonce; the best of them is loss=ant ant_margin=0.1"
    )
    assert "Significantly worse: loss=ant ant_margin=0.3." in text


def test_the_noise_floor_stands_in_the_way(tmp_path: Path) -> None:
    for name, values in (("x", BASE), ("y", {1: 64.0, 2: 69.0})):
        write_group(tmp_path / name, values, device=name, **INFONCE)
    write_group(tmp_path / "ant", {1: 62.0, 2: 72.1, 3: 81.9})
    text = conclusion(tmp_path)
    assert text.startswith("Not shown that") and "Repeats of one run differ as much." in text


def test_an_unfair_comparison_is_called_one(tmp_path: Path) -> None:
    write_group(tmp_path / "base", BASE, **INFONCE)
    write_group(tmp_path / "ant", {1: 62.0, 2: 72.1, 3: 81.9}, trainer__grad_clip_norm=5.0)
    assert "NOT A FAIR COMPARISON: it also differs in trainer.grad_clip_norm null → 5." in conclusion(tmp_path)


def test_other_figures_are_named_with_their_direction(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        write_run(tmp_path / f"b{seed}", [[90.0], [60.0 + 0.1 * seed, 80.0]], seed=seed, **INFONCE)
        write_run(tmp_path / f"a{seed}", [[80.0 + 9 * seed], [70.0, 71.0]], seed=seed)
    assert "Significant in other figures: last (better)" in conclusion(tmp_path)


def test_validation_images_decide_where_every_run_has_some(tmp_path: Path) -> None:
    for margin, test, val in ((0.1, 60.0, 40.0), (0.2, 50.0, 45.0)):
        result = {"val": accuracies(flat_matrix(val))}
        keys: dict[str, Any] = {"ant_margin": margin, "dataset__holdout_per_class": 5}
        write_run(tmp_path / str(margin), flat_matrix(test), result=result, **keys)
    assert "ant_margin=0.2" in conclusion(tmp_path)
    assert "average top-1 on validation images +5.00 points" in conclusion(tmp_path)


def test_runs_alone_tell_their_mean(tmp_path: Path) -> None:
    write_group(tmp_path / "a", {1: 60.0, 2: 70.0})
    expected = "run: average top-1 65.00 ± 7.07 % (2 runs); nothing to compare it with."
    assert conclusion(tmp_path) == expected


def test_every_problem_has_its_sentence_at_the_top(tmp_path: Path) -> None:
    write_run(tmp_path / "a", flat_matrix(50.0, tasks=3))
    write_run(tmp_path / "b", flat_matrix(50.0, tasks=2))
    texts = paragraphs(report_of(tmp_path), "conclusion")
    assert [text.split(": ")[0] for text in texts] == ["digits, 2 tasks of 2 classes", "digits, 3 tasks of 2 classes"]
