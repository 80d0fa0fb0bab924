"""A finished run does not stand for one on other images of the user's own."""

import json

import pytest

from cil.errors import ConfigError
from cil.planning.stored import refuse_other_classes


@pytest.fixture
def finished(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "result.json").write_text(json.dumps({"tasks": [{"names": ["ant", "bee"]}]}))
    return folder


def settings(root, source="image_folder"):
    return {"dataset": {"source": source, "root": None if root is None else str(root)}}


def tree(folder, *names):
    for name in names:
        (folder / "train" / name).mkdir(parents=True)
    return folder


def test_the_same_classes_elsewhere_are_the_same_images(finished, tmp_path):
    assert refuse_other_classes(finished, settings(tree(tmp_path / "moved", "ant", "bee", "cat"))) is None


def test_other_classes_are_refused(finished, tmp_path):
    with pytest.raises(ConfigError, match=r"has no class bee, which .*run was trained on: other images need another"):
        refuse_other_classes(finished, settings(tree(tmp_path / "other", "ant", "wasp")))


def test_what_cannot_be_known_is_left_to_the_loading(finished, tmp_path):
    assert refuse_other_classes(finished, settings(tmp_path / "nowhere")) is None
    assert refuse_other_classes(finished, settings(None, "digits")) is None
    (finished / "result.json").unlink()
    assert refuse_other_classes(finished, settings(tree(tmp_path / "other", "wasp"))) is None
