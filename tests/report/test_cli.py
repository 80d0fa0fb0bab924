"""The command line: exit codes, one-line errors, files, speed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cil.report.cli import main
from cil.report.render_html import drawings
from tests.report.helpers import report_of
from tests.report.synthetic import INFONCE, flat_matrix, write_group, write_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_group(tmp_path / "base", {1: 60.0, 2: 70.0}, **INFONCE)
    write_group(tmp_path / "ant", {1: 61.0, 2: 71.5})
    return tmp_path


def test_default_prints_tables_and_writes_the_page(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder)]) == 0
    assert "Against the baseline" in capsys.readouterr().out
    assert (folder / "report.html").is_file()


def test_runs_are_not_touched(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    main([str(folder), "--format", "html"])
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_all_formats(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "place"
    assert main([str(folder), "--out", str(out), "--format", "html,markdown,csv,latex"]) == 0
    names = ["report.csv", "report.html", "report.md", "report.tex", "report_curves.csv", "report_runs.csv"]
    assert sorted(path.name for path in out.iterdir()) == names


def test_figures_in_every_format(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = folder / "paper"
    assert main([str(folder), "--format", "terminal", "--figures", str(figures)]) == 0
    names = {path.name for path in figures.iterdir()}
    assert names == {f"{name}.{kind}" for name in ("forest", "curves", "forgetting", "margins", "matrices")
                     for kind in ("pdf", "svg", "png")}  # fmt: skip
    assert not (folder / "report.html").exists()
    assert f"written: {figures}: forest, curves" in capsys.readouterr().out


def test_figures_of_several_problems_do_not_overwrite_each_other(folder: Path) -> None:
    write_run(folder / "other", flat_matrix(50.0, tasks=1))
    names = [drawing.plot.name for drawing in drawings(report_of(folder).document)]
    assert {"digits-1-task-of-2-classes-curves", "digits-3-tasks-of-2-classes-curves"} <= set(names)
    assert len(set(names)) == len(names)


def test_options_without_value_do_not_swallow_the_path(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--allow", str(folder), "--format", "terminal"]) == 0
    assert main(["--reference", str(folder), "--format", "terminal"]) == 0
    assert "No published figures for this data set" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "no PATH given"),
        (["missing"], "missing: no such folder"),
        (["."], "no run found"),
        (["--frobnicate", "x"], "unrecognized arguments: --frobnicate"),
        (["x", "--format", "pdf"], "--format: 'pdf' is unknown; valid: terminal, html"),
        (["x", "--allow", "everything"], "--allow: 'everything' is unknown; valid: all, class_order"),
        (["x", "--figures", "file"], "--figures: file: is not a folder"),
        (["file"], "file: is not a folder; valid: the folder of a run"),
        (["x", "--out", "file"], "--out: file: is not a folder"),
        (["diff", "a"], "diff takes two runs"),
        (["diff", "a", "b"], "a: is no run"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert expected in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        ("ant_margn", "--factor: 'ant_margn' is no key of these runs; did you mean ant_margin?"),
        ("trainer.max_tasks", "--factor: trainer.max_tasks makes runs of another number of tasks"),
        ("max_tasks", "--factor: max_tasks makes runs of another number of tasks"),
        ("device", "--factor: device changes no result"),
        ("seed", "--factor: seed is what runs are paired by"),
    ],
)
def test_a_factor_that_is_none(folder: Path, factor: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder), "--factor", factor]) == 2
    error = capsys.readouterr().err
    assert expected in error and error.count("\n") == 1


def test_a_mixture_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for order in (0, 1):
        write_run(tmp_path / str(order), class_order="random", class_order_seed=order)
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "report.html").exists()
    assert main([str(tmp_path), "--allow", "class_order", "--format", "terminal"]) == 0


def test_only_failed_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "a", status={"state": "failed", "error": "x"})
    assert main([str(tmp_path), "--format", "terminal"]) == 1
    assert "failed: x" in capsys.readouterr().out


def test_diff_names_settings_and_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = write_run(tmp_path / "a", flat_matrix(50.0))
    b = write_run(tmp_path / "b", flat_matrix(52.0), trainer__grad_clip_norm=5.0, result={"git_commit": "b"}, **INFONCE)
    assert main(["diff", str(a), str(b)]) == 0
    lines = {line.split("  ")[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert lines["trainer.grad_clip_norm"] == ["trainer.grad_clip_norm", "null", "5"]
    assert lines["loss.ant_beta"][1:] == ["1", "null", "unused", "by", "one", "of", "them"]
    assert lines["average (%)"][-3:] == ["50.00", "52.00", "+2.00"]
    assert lines["commit"][-1] == "b"


def test_many_runs_without_torch_and_without_pyplot(tmp_path: Path) -> None:
    for group in range(9):
        for seed in range(1, 6):
            write_run(tmp_path / f"{group}-{seed}", flat_matrix(50.0 + group + seed), seed=seed, ant_margin=0.1 * group)
    code = (
        "import sys; from cil.report.cli import main; status = main();"
        "print('torch' in sys.modules, 'matplotlib.pyplot' in sys.modules); sys.exit(status)"
    )
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}  # a terminal without Unicode
    command = [sys.executable, "-c", code, str(tmp_path), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "45 runs" in done.stdout and done.stdout.endswith("False False\n")


def test_help_and_tables_wait_for_no_library_that_draws(folder: Path) -> None:
    code = (
        "import sys; from cil.report.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('matplotlib' in sys.modules, 'scipy' in sys.modules)"
    )
    for arguments, expected in ((["--help"], "False False"), ([str(folder), "--format", "terminal"], "False True")):
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == expected


def test_a_broken_file_is_named_and_the_rest_reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "ant" / "s1" / "result.json").write_text("{")
    assert main([str(folder), "--format", "terminal"]) == 0
    assert "result.json cannot be read" in capsys.readouterr().out
    assert json.loads((folder / "ant" / "s2" / "result.json").read_text())
