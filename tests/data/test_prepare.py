"""`cil.data prepare`: some classes of a full ImageNet, as links and as a pack."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from cil.config.class_list import class_list_path, named_lists, names_hash, read_class_list
from cil.config.schema import DatasetConfig
from cil.data.__main__ import main
from cil.data.sources import load_whole
from tests.data.sources.trees import write_image, write_tree

CLASSES = ["n01", "n02", "n03", "n04"]


@pytest.fixture
def imagenet(tmp_path):
    return write_tree(tmp_path / "full", {"train": 3, "val": 2}, CLASSES, suffix=".JPEG")


@pytest.fixture
def chosen(tmp_path):
    path = tmp_path / "two.txt"
    path.write_text("n03\nn01\n")
    return path


def prepare(capsys, *arguments):
    code = main(["prepare", "imagenet100", *map(str, arguments)])
    out = capsys.readouterr()
    return code, out.out, out.err


def loaded(root, **keys):
    return load_whole(DatasetConfig(name="imagenet100", source="image_folder", root=str(root), image_size=96, **keys))


def snapshot(folder):
    return sorted((path.relative_to(folder).as_posix(), path.is_symlink()) for path in folder.rglob("*"))


def test_links_to_the_chosen_classes_hold_the_same_images(imagenet, chosen, tmp_path, capsys):
    code, out, err = prepare(capsys, "--imagenet", imagenet, "--class-list", chosen, "--out", tmp_path / "made")
    assert (code, err) == (0, "")
    assert "4 links, 4 of them new" in out
    raw = loaded(tmp_path / "made")
    full = loaded(imagenet, class_list=str(chosen))
    assert raw.classes == full.classes == ("n01", "n03")
    assert raw.class_list == full.class_list == ("two.txt", names_hash(str(chosen)))
    for ours, theirs in ((raw.train, full.train), (raw.test, full.test)):
        assert [os.path.realpath(path) for path in ours.paths] == [os.path.realpath(path) for path in theirs.paths]
    assert len(raw.train) == 6


def test_the_same_command_again_changes_nothing_and_mends_what_is_gone(imagenet, chosen, tmp_path, capsys):
    arguments = ("--imagenet", imagenet, "--class-list", chosen, "--out", tmp_path / "made")
    prepare(capsys, *arguments)
    before = snapshot(tmp_path / "made")
    assert "0 of them new" in prepare(capsys, *arguments)[1]
    (tmp_path / "made" / "val" / "n03").unlink()
    assert "1 of them new" in prepare(capsys, *arguments)[1]
    assert snapshot(tmp_path / "made") == before


def test_nothing_is_touched_that_the_command_did_not_make(imagenet, chosen, tmp_path, capsys):
    arguments = ("--imagenet", imagenet, "--class-list", chosen, "--out", tmp_path / "made")
    write_image(tmp_path / "made" / "train" / "n01" / "mine.png")
    before = snapshot(tmp_path / "made")
    code, _, err = prepare(capsys, *arguments)
    assert code == 2
    assert "made is there and was not made by this command" in err
    assert snapshot(tmp_path / "made") == before

    shutil.rmtree(tmp_path / "made")
    prepare(capsys, *arguments)
    for mine in ("train/n09/x.png", "train/mine.png"):
        write_image(tmp_path / "made" / mine)
        code, _, err = prepare(capsys, *arguments)
        assert code == 2
        assert "was not made by this command" in err
        (tmp_path / "made" / mine).unlink()
        shutil.rmtree(tmp_path / "made/train/n09", ignore_errors=True)

    (tmp_path / "made/train/n01").unlink()
    (tmp_path / "made/train/n01").symlink_to(imagenet / "train/n02")
    code, _, err = prepare(capsys, *arguments)
    assert code == 2
    assert "train/n01 is not the link" in err
    assert os.readlink(tmp_path / "made/train/n01").endswith("n02")


def test_another_list_or_imagenet_needs_another_folder(imagenet, chosen, tmp_path, capsys):
    arguments = ("--imagenet", imagenet, "--out", tmp_path / "made", "--class-list")
    prepare(capsys, *arguments, chosen)
    (tmp_path / "other.txt").write_text("n02\n")
    code, _, err = prepare(capsys, *arguments, tmp_path / "other.txt")
    assert code == 2
    assert "by two.txt; remove it" in err
    chosen.write_text("# the same names\nn01\nn03\n")
    assert prepare(capsys, *arguments, chosen)[0] == 0


def test_missing_classes_are_named(imagenet, chosen, tmp_path, capsys):
    shutil.rmtree(imagenet / "val" / "n03")
    arguments = ("--imagenet", imagenet, "--class-list", chosen, "--out", tmp_path / "made")
    code, _, err = prepare(capsys, *arguments)
    assert code == 1
    assert f"{imagenet}/val: 1 of 2 class folders are missing: n03" in err
    assert not (tmp_path / "made").exists()


def test_validation_images_in_one_folder_go_by_the_table_of_their_classes(imagenet, chosen, tmp_path, capsys):
    inside = tmp_path / "kaggle" / "ILSVRC" / "Data" / "CLS-LOC"
    shutil.copytree(imagenet / "train", inside / "train")
    lines = ["ImageId,PredictionString"]
    for number, name in enumerate(("n03", "n01", "n02", "n03")):
        write_image(inside / "val" / f"ILSVRC2012_val_{number}.JPEG", number)
        lines.append(f"ILSVRC2012_val_{number},{name} 1 2 3 4 {name} 5 6 7 8")
    arguments = ("--imagenet", tmp_path / "kaggle", "--class-list", chosen, "--out", tmp_path / "made")
    code, _, err = prepare(capsys, *arguments)
    assert code == 1
    assert "LOC_val_solution.csv" in err
    (tmp_path / "kaggle" / "LOC_val_solution.csv").write_text("\n".join(lines) + "\n")
    assert prepare(capsys, *arguments)[0] == 0
    raw = loaded(tmp_path / "made")
    names = [os.path.basename(path) for path in raw.test.paths]
    assert raw.test.labels.tolist() == [0, 1, 1]
    assert names == [f"ILSVRC2012_val_{number}.JPEG" for number in (1, 0, 3)]
    assert prepare(capsys, *arguments)[0] == 0


def test_a_count_that_the_list_was_not_published_with_is_said(imagenet, tmp_path, capsys):
    path = tmp_path / "list.txt"
    path.write_text("# train images: 7\n# validation images: 2\nn01\n")
    _, out, _ = prepare(capsys, "--imagenet", imagenet, "--class-list", path, "--out", tmp_path / "made")
    assert "warning: train: 3 images, but list.txt was published with 7" in out
    assert out.count("warning") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing to do"),
        (("--imagenet", "nowhere"), "--class-list: not given; valid: imagenet100-cmc"),
        (("--imagenet", "nowhere", "--class-list", "imagenet100-cmc"), "--imagenet: .*nowhere is no folder"),
        (("--imagenet", "nowhere", "--class-list", "cmc"), "--class-list: .*cmc: No such file.*imagenet100-cmc"),
        (("--pack", "--class-list", "imagenet100-cmc"), "--class-list: goes with --imagenet"),
        (("--pack", "--side", "x"), "argument --side: invalid int value: 'x'"),
        (("--pack", "--side", "0"), "--side: 0; valid: 1 or more"),
        (("--pack", "dataset.rot=x"), "dataset.rot"),
        (("--pack", "rot"), "rot: is not KEY=VALUE"),
        (("--unpack",), "unrecognized arguments: --unpack"),
    ],
)
def test_a_wrong_command_is_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, out, err = prepare(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)

    assert re.search(message, err), err


def test_the_named_lists_are_of_a_hundred_classes():
    assert "imagenet100-cmc" in named_lists()
    for name in named_lists():
        names = read_class_list(str(class_list_path(name, Path("/nowhere")))).names
        assert len(names) == 100
        assert all(len(one) == 9 and one[0] == "n" and one[1:].isdigit() for one in names)


def test_what_was_packed_of_imagenet_is_what_was_chosen(imagenet, chosen, tmp_path, capsys):
    arguments = ("--imagenet", imagenet, "--class-list", chosen, "--pack", "--side", 8, "--out", tmp_path / "pack")
    code, out, _ = prepare(capsys, *arguments, "dataset.num_workers=0")
    assert code == 0
    assert "6 + 4 images at 8 pixels" in out
    head = json.loads((tmp_path / "pack" / "pack.json").read_text())
    assert head["classes"] == ["n01", "n03"]
    assert head["class_list"] == ["two.txt", names_hash(str(chosen))]
