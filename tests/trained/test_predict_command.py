import numpy as np
import pytest
from PIL import Image

import cil
from cil.predict import main
from tests.finished import Finished


@pytest.fixture
def picture(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_the_classes_are_printed_by_name(finished: Finished, picture, capsys):
    assert main([str(finished.path), str(picture), "top=2", "device=cpu"]) == 0

    lines = capsys.readouterr().out.splitlines()
    best = cil.load(finished.path).predict(picture, top=1).iloc[0]
    assert lines[0] == str(picture) and len(lines) == 3
    assert lines[1].split()[:2] == ["1.", best["name"]] and "distance" in lines[1]


def test_a_folder_is_opened_and_probabilities_are_per_cent(finished: Finished, picture, capsys):
    assert main([str(finished.path), str(picture.parent), "head=classifier", "device=cpu"]) == 0

    assert " %" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "no IMAGE given"),
        (["nowhere.png"], 1, "nowhere.png: no such file or folder"),
        (["{picture}", "task=8"], 2, "task: 8"),
        (["{picture}", "head=best"], 2, "head: 'best'"),
        (["{picture}", "device=gpu"], 2, "device: 'gpu' is unknown"),
        (["{picture}", "device="], 2, "device: null is not valid; expected text"),
        (["{picture}", "top=0"], 2, "top: 0 is not valid; expected 1 or greater"),
    ],
)
def test_wrong_input_is_one_line(finished: Finished, picture, capsys, words: list[str], code: int, message: str):
    assert main([str(finished.path), *(word.format(picture=picture) for word in words)]) == code

    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
