"""The data check: what the command says, what a run does by itself."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from cil.config.schema import DatasetConfig
from cil.data import check
from cil.data.__main__ import dataset_config, main
from cil.data.sources import digits, load_dataset, load_whole
from cil.data.training import load_training_data
from cil.errors import ConfigError, DataError
from cil.planning.plan import compose_jobs
from tests.data.sources.trees import write_image, write_tree


@pytest.fixture
def tree(tmp_path):
    return write_tree(tmp_path / "data", {"train": 3, "val": 2}, ["ant", "bee", "cat"])


def config(root, **keys):
    return DatasetConfig(source="image_folder", name="image_folder", root=str(root), image_size=100, **keys)


def run_check(capsys, *arguments):
    code = main(["check", *arguments])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_a_whole_data_set(tree, capsys):
    code, out, err = run_check(capsys, "image_folder", f"dataset.root={tree}", "dataset.num_workers=0")
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert rows[:5] == [
        ["class", "train", "test"], ["ant", "3", "2"], ["bee", "3", "2"], ["cat", "3", "2"], ["all", "9", "6"]
    ]  # fmt: skip
    assert "15 images, none broken" in out


def test_files_passed_over_are_said_by_the_check_and_once_by_a_run(tree, tmp_path, capsys, caplog):
    for name in ("train/ant/a.heic", "val/bee/b.heic", "val/bee/README"):
        (tree / name).write_text("x")
    said = f"{tree}: 3 files passed over that are no images by their suffix: 2 .heic, 1 (none)"
    code, out, _ = run_check(capsys, "image_folder", f"dataset.root={tree}", "dataset.num_workers=0")
    assert code == 0
    assert out.splitlines()[-2:] == [f"warning: {said}", "image_folder: 15 images, none broken"]
    start(tree, tmp_path)
    assert capsys.readouterr().out == f"warning: {said}\n"
    assert caplog.messages == [said]


def test_a_float_image_outside_every_range_is_broken(tree, capsys):
    path = tree / "val" / "ant" / "x.tif"
    Image.fromarray(np.full((8, 8), 300, dtype=np.float32)).save(path)
    code, out, _ = run_check(capsys, "image_folder", f"dataset.root={tree}", "dataset.num_workers=0")
    assert code == 1
    assert f"broken: {path}: floating-point values from 300 to 300; valid: 0 to 1, or 0 to 255" in out


def test_a_note_belongs_to_the_names_of_a_class_list(tree, tmp_path):
    paths = []
    for name, text in (("a", "ant\nbee\n"), ("b", "# two\r\nbee\r\nant\r\n"), ("c", "ant\ncat\n")):
        (tmp_path / name).write_text(text, newline="")
        paths.append(check.note_path(config(tree, class_list=str(tmp_path / name))))
    assert paths[0] == paths[1] != paths[2]


@pytest.mark.parametrize("workers", [0, 2])
def test_every_broken_file_is_listed(tree, capsys, workers):
    whole = tree / "train" / "ant" / "000.png"
    cut, text, empty = (tree / split / "bee" / "001.png" for split in ("train", "val", "train"))
    empty = tree / "train" / "cat" / "002.png"
    cut.write_bytes(whole.read_bytes()[:-40])
    text.write_text("no image")
    empty.write_bytes(b"")
    code, out, _ = run_check(capsys, "image_folder", f"dataset.root={tree}", f"dataset.num_workers={workers}")
    assert code == 1
    lines = [line for line in out.splitlines() if line.startswith("broken: ")]
    assert [line.split(": ")[1] for line in lines] == [str(cut), str(empty), str(text)]
    assert all(line.split(": ", 2)[2] for line in lines), "each one with the reason"
    assert "15 images, 3 broken" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "usage"),
        (["prepares", "imagenet100"], "no command 'prepares'"),
        (["check"], "no data set"),
        (["check", "nope"], "valid: cifar10, cifar100, cub200, digits"),
        (["check", "digits", "nope"], "is not KEY=VALUE"),
        (["check", "digits", "dataset.rot=x"], "dataset.root"),
        (["check", "cifar100", "dataset.root=/nowhere"], "cifar100 is not in /nowhere"),
    ],
)
def test_a_wrong_command_is_one_line(capsys, arguments, said):
    assert main(arguments) == 2
    out = capsys.readouterr()
    assert out.out == ""
    assert said in out.err
    assert out.err.count("\n") == 1


def test_a_missing_class_folder_is_a_problem_of_the_data(tree, capsys):
    write_image(tree / "train" / "dog" / "0.png")
    code, _, err = run_check(capsys, "image_folder", f"dataset.root={tree}")
    assert code == 1
    assert err.count("\n") == 1
    assert "dog: class folder is missing" in err


def test_digits_are_compared_with_their_sum(capsys, monkeypatch):
    assert run_check(capsys, "digits")[0] == 0
    monkeypatch.setattr(digits, "SHA256", "0")
    code, out, _ = run_check(capsys, "digits")
    assert code == 1
    assert "broken: digits: scikit-learn's images have SHA-256" in out


def test_a_data_set_too_small_for_its_default_split_can_be_checked(tree):
    assert dataset_config(["image_folder", f"dataset.root={tree}"]).root == str(tree)
    with pytest.raises(ConfigError, match="split"):
        dataset_config(["image_folder", f"dataset.root={tree}", "split=5-5"])


def test_the_check_needs_no_torch(tree):
    code = f"import sys; from cil.data.__main__ import main; r = main(['check', 'image_folder', 'dataset.root={tree}'])"
    code += "; sys.exit(r or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == 0


def test_the_fingerprint_is_that_of_the_list(tree, tmp_path):
    def fingerprint(root):
        return check.listed(load_whole(config(root)), str(root)).fingerprint

    first = fingerprint(tree)
    (tree / "train" / "ant" / "000.png").touch()
    assert fingerprint(tree) == first
    moved = tree.rename(tmp_path / "moved")
    assert fingerprint(moved) == first
    write_image(moved / "val" / "ant" / "900.png")
    assert fingerprint(moved) != first


def notes(folder):
    return [path for path in folder.iterdir() if "check" in path.name]


def start(root, run, **keys):
    cfg = config(root, **keys)
    return load_dataset(cfg, lambda raw: check.check_at_start(raw, cfg, run))


def test_a_run_notes_what_is_there_once(tree, tmp_path):
    start(tree, tmp_path)
    (note,) = notes(tree)
    assert note.name == ".cil-check-image_folder-all.json"
    content = json.loads(note.read_text())
    assert content["counts"] == {"train": [3, 3, 3], "test": [2, 2, 2]}
    assert (content["opened"], content["broken"]) == (False, [])
    before = note.stat().st_mtime_ns
    start(tree, tmp_path, max_train_per_class=1, holdout_per_class=1)  # the note is about the whole data set
    assert note.stat().st_mtime_ns == before
    assert notes(tmp_path) == []


def test_a_read_only_data_folder_has_its_note_in_the_runs(tree, tmp_path, monkeypatch):
    # As on a read-only mount; file modes do not stop root.
    beside = check.note_path(config(tree))
    monkeypatch.setattr(check, "note_path", lambda cfg: tmp_path / "missing" / beside.name)
    start(tree, tmp_path)
    assert [path.name for path in notes(tmp_path)] == ["data-check.json"]


def test_a_file_less_is_said(tree, tmp_path, caplog):
    start(tree, tmp_path)
    (tree / "train" / "ant" / "001.png").unlink()
    start(tree, tmp_path)
    assert "15, then 14" in caplog.text
    caplog.clear()
    start(tree, tmp_path)
    assert caplog.text == ""


def test_a_run_stops_at_once_for_a_file_known_to_be_broken(tree, tmp_path, capsys):
    victim = tree / "val" / "cat" / "000.png"
    content = victim.read_bytes()
    victim.write_bytes(content[:50])
    start(tree, tmp_path)  # nobody has looked yet
    assert run_check(capsys, "image_folder", f"dataset.root={tree}")[0] == 1
    with pytest.raises(DataError, match=f"{victim}: .*python -m cil.data check image_folder"):
        start(tree, tmp_path)
    victim.write_bytes(content)
    start(tree, tmp_path)


def break_files(root, *names):
    for name in names:
        (root / name).write_bytes((root / name).read_bytes()[:50])


def test_moved_data_is_checked_where_it_lies_now(tree, tmp_path, capsys, monkeypatch):
    name = "train/bee/001.png"
    whole = (tree / name).read_bytes()
    break_files(tree, name)
    assert run_check(capsys, "image_folder", f"dataset.root={tree}")[0] == 1
    assert str(tree) not in check.note_path(config(tree)).read_text()
    moved = tree.rename(tmp_path / "moved: here")
    with pytest.raises(DataError, match=f"^{moved / name}: "):
        start(moved, tmp_path)
    (moved / name).write_bytes(whole)
    start(moved, tmp_path)
    monkeypatch.chdir(tmp_path)
    break_files(moved, name)
    with pytest.raises(DataError, match=f"{moved / name}: "):
        start(moved.name, tmp_path)


def test_a_voided_note_still_knows_the_broken_files(tree, tmp_path, capsys):
    gone, left = "train/ant/000.png", "val/cat/001.png"
    whole = (tree / left).read_bytes()
    break_files(tree, gone, left)
    assert run_check(capsys, "image_folder", f"dataset.root={tree}")[0] == 1
    (tree / gone).unlink()
    for _ in range(2):  # the run that makes the note void, and the one after it
        with pytest.raises(DataError, match=f"^{tree / left}: [^(]*; found by"):
            start(tree, tmp_path)
    (line,) = check.read_note(check.note_path(config(tree))).broken
    assert line.startswith(f"{left}: ")
    (tree / left).write_bytes(whole)
    start(tree, tmp_path)
    assert run_check(capsys, "image_folder", f"dataset.root={tree}")[0] == 0
    assert check.read_note(check.note_path(config(tree))).broken == []


def test_a_broken_file_with_a_colon_in_its_name_is_found_again(tree, tmp_path, capsys):
    name = "train/ant/a: b.png"
    write_image(tree / name)
    break_files(tree, name)
    assert run_check(capsys, "image_folder", f"dataset.root={tree}")[0] == 1
    with pytest.raises(DataError, match=f"^{tree / name}: "):
        start(tree, tmp_path)


def test_files_outside_the_data_set_are_no_matter(tree, tmp_path):
    start(tree, tmp_path)
    note = check.note_path(config(tree))
    (tree / "notes.txt").write_text("no image")
    lines = ["notes.txt: broken", f"{tmp_path}: broken", "/old/place/train/ant/000.png: broken", "odd"]
    note.write_text(json.dumps(json.loads(note.read_text()) | {"broken": lines}))
    start(tree, tmp_path)


@pytest.mark.parametrize("text", ["", "{}", "[1]", "nonsense", '{"fingerprint": 1}'])
def test_a_damaged_note_counts_as_none(tree, tmp_path, text):
    check.note_path(config(tree)).write_text(text)
    start(tree, tmp_path)
    assert check.read_note(check.note_path(config(tree))).counts["train"] == [3, 3, 3]


def test_images_in_memory_leave_no_note(tmp_path):
    cfg = DatasetConfig()
    raw = load_dataset(cfg, lambda whole: check.check_at_start(whole, cfg, tmp_path))
    assert list(tmp_path.iterdir()) == []
    first = check.listed(raw, None)
    assert first.opened
    changed = raw.train.pixels.copy()
    changed[0] ^= 1
    other = type(raw)(raw.name, raw.classes, type(raw.train)(raw.train.labels, pixels=changed), raw.test)
    assert check.listed(other, None).fingerprint != first.fingerprint
    assert np.sum(first.counts["train"]) == 1352


def training_data(root, *overrides, run=None):
    overrides = ["dataset=image_folder", f"dataset.root={root}", "split=joint", "memory.size=0", *overrides]
    (job,) = compose_jobs([*overrides, "dataset.num_workers=0"])
    data = load_training_data(job.config, torch.device("cpu"), run)
    data.loader.close()
    return data


def rename(tree):
    (tree / "train" / "ant" / "001.png").rename(tree / "train" / "ant" / "900.png")


def shift(tree):
    """One image from a class to the next, from each to each: the numbers stay."""
    for name, other in (("ant", "bee"), ("bee", "cat"), ("cat", "ant")):
        (tree / "train" / name / "001.png").rename(tree / "train" / other / f"from_{name}.png")


CHANGES = {
    "removed": lambda tree: (tree / "train" / "ant" / "001.png").unlink(),
    "added": lambda tree: write_image(tree / "val" / "ant" / "900.png"),
    "renamed": rename,
    "shifted": shift,
    "other classes": lambda tree: [(tree / split / "cat").rename(tree / split / "cow") for split in ("train", "val")],
    "other split": lambda tree: (tree / "val").rename(tree / "test"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_training_data_tells_another_tree(tree, tmp_path, change):
    first = training_data(tree).fingerprint
    other = tmp_path / "other"
    shutil.copytree(tree, other)
    assert training_data(other).fingerprint == first
    CHANGES[change](other)
    assert training_data(other).fingerprint != first


def test_the_same_files_have_one_fingerprint_whatever_the_root(tree, tmp_path, monkeypatch):
    first = training_data(tree)
    assert first.fingerprint == check.listed(load_whole(config(tree)), str(tree)).fingerprint
    inside = tree.rename(tmp_path / "image_folder")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(inside)
    run = tmp_path / "run"
    run.mkdir()
    for root in (inside, tmp_path, "image_folder", "./image_folder/", "link"):
        assert training_data(root, run=run).fingerprint == first.fingerprint
    part = training_data(inside, "dataset.max_train_per_class=1", "dataset.holdout_per_class=1")
    assert part.fingerprint == first.fingerprint
    assert check.read_note(check.note_path(config(inside))).fingerprint == first.fingerprint


def test_a_file_name_need_not_be_utf8(tree):
    first = training_data(tree).fingerprint
    try:
        (tree / "train" / "ant" / "000.png").rename(tree / "train" / "ant" / os.fsdecode(b"caf\xe9.png"))
    except OSError:
        pytest.skip("the file system takes UTF-8 only")
    assert training_data(tree).fingerprint != first


def test_images_in_memory_are_told_by_labels_and_pixels():
    (job,) = compose_jobs([])
    data = load_training_data(job.config, torch.device("cpu"))
    data.loader.close()
    raw = data.raw
    assert data.fingerprint == check.listed(raw, None).fingerprint
    swapped = raw.train.labels.copy()
    first, second = 0, int(np.flatnonzero(swapped != swapped[0])[0])
    swapped[[first, second]] = swapped[[second, first]]
    other = type(raw)(raw.name, raw.classes, type(raw.train)(swapped, pixels=raw.train.pixels), raw.test)
    assert check.listed(other, None).fingerprint != data.fingerprint
