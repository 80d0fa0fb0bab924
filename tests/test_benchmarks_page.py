"""scripts/benchmarks_page.py: docs/benchmarks.md says what the files say."""

import json

import pytest

from tests.test_gpu_check import load

page = load("benchmarks_page")
MACHINE = {"device": "cuda", "gpu": "NVIDIA H200", "driver": "570.1", "cuda": "12.8", "cpu": "x", "load": None}
FACTS = {
    "created": "2026-12-01T10:00:00",
    "machine": MACHINE,
    "versions": {"torch": "2.14.1"},
    "git_commit": "0123456789",
}
SUMMARY = FACTS | {
    "toy": False,
    "minutes": 10,
    "parts": [
        {"name": "tests", "what": "tests marked cuda", "state": "passed", "tests": 37, "failures": 0, "seconds": 41.2},
        {"name": "resume", "what": "the same again", "state": "timed out", "note": "stuck", "seconds": 60.0},
        {
            "name": "train",
            "what": "main job",
            "state": "passed",
            "seconds": 200.0,
            "run": {"epochs": 17, "task": 1, "epoch": 17, "epoch_seconds": 4.25, "images_per_second": 1176.4},
        },
    ],
}


def test_the_page_is_what_the_files_say():
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.written(text) == text, "python scripts/benchmarks_page.py"
    assert {match[2] for match in page.SECTION.finditer(text)} == set(page.SECTIONS)


def test_a_gpu_s_figures():
    text = page.gpu({"summary": SUMMARY})
    assert "NVIDIA H200, driver 570.1, CUDA 12.8; torch 2.14.1, commit 0123456, 2026-12-01" in text
    assert "| tests | `tests marked cuda` | passed | 37 | 0 | 41 |" in text
    assert "| resume | `the same again` | timed out: stuck |  |  | 60 |" in text
    assert "17 epochs (to task 1, epoch 17), 4.2 s an epoch (median), 1176 images a second" in text


@pytest.mark.parametrize(
    "found", [None, {"summary": SUMMARY | {"toy": True}}, {"summary": SUMMARY | {"machine": {"device": "cpu"}}}]
)
def test_a_rehearsal_is_no_run_on_a_gpu(found):
    assert page.gpu(found).startswith("**Not run on a GPU yet.** `python scripts/gpu_check.py --minutes 10")


def test_figures_are_taken_over(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(page, "MEASURED", tmp_path / "measured")
    monkeypatch.setattr(page, "PAGE", page.PROJECT / "docs" / "nowhere.md")
    (tmp_path / "summary.json").write_text(json.dumps(SUMMARY | {"parts": [{"name": "a", "command": ["/home/me/x"]}]}))
    assert page.main(["--gpu", str(tmp_path)]) == 2, "there is no such page"
    kept = json.loads((tmp_path / "measured" / "gpu.json").read_text())
    assert kept["summary"]["parts"] == [{"name": "a"}]
    assert page.main(["--take", f"speed={tmp_path}/summary.json"]) == 2
    assert "speed: no section; valid: gpu, cpu, growth, paper, mechanism" in capsys.readouterr().err


def test_a_table():
    rows = [("a", "b"), ("x", "1")]
    assert page.markdown(rows) == "| a | b |\n| --- | ---: |\n| x | 1 |"
