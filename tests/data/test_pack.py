"""Packs: what they hold, that they are whole or not there, and that they stay what they were made from."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from cil.config.schema import DatasetConfig
from cil.data import packing
from cil.data.__main__ import main
from cil.data.check import listed
from cil.data.image_files import centre_resized
from cil.data.pack import pixels_of
from cil.data.sources import count_classes, load_dataset, load_whole, locate
from cil.errors import ConfigError, DataError
from tests.commands import PROJECT
from tests.data.packs import CLASSES, SIDE, files, make_pack, write_jpegs


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write_jpegs(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def packed(tree, tmp_path_factory):
    out = tmp_path_factory.mktemp("packs") / "pack"
    make_pack(tree, out)
    return out


def in_pack(folder, **keys) -> DatasetConfig:
    return files(**({"root": folder, "pack_side": SIDE, "image_size": 32} | keys))


def contents(folder):
    """Every file; those of the head without its place."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_pack_holds_the_images_with_their_shorter_side_resized(tree, packed):
    raw, whole = load_whole(in_pack(packed)), load_whole(files(tree))
    assert raw.classes == CLASSES
    for ours, theirs in ((raw.train, whole.train), (raw.test, whole.test)):
        assert ours.labels.tolist() == theirs.labels.tolist()
        for one, name, path in zip(ours.packed.at(np.arange(len(ours))), ours.packed.names, theirs.paths, strict=True):
            image = Image.open(path)
            scale = SIDE / min(image.size)
            size = tuple(max(SIDE, int(scale * side)) for side in image.size)
            assert np.array_equal(pixels_of(one), np.asarray(image.resize(size, Image.Resampling.BILINEAR)))
            assert path.endswith(name)
            assert name.startswith(("train/", "val/"))
    sizes = [path.stat().st_size for path in (packed / "train.bin", packed / "test.bin")]
    assert sizes == [raw.train.packed.sizes.sum(), raw.test.packed.sizes.sum()]
    sums = [zlib.crc32(pixels_of(one).tobytes()) for one in raw.train.packed.at(np.arange(20))]
    assert raw.train.packed.checksums.tolist() == sums


def test_workers_make_the_same_pack(tree, packed, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "CHUNK", 3)
    make_pack(tree, tmp_path / "other", workers=2)
    assert contents(tmp_path / "other") == contents(packed)


def test_a_test_image_is_the_one_of_the_file(tree, packed):
    raw, whole = load_whole(in_pack(packed)), load_whole(files(tree))
    for one, path in zip(raw.test.packed.at(np.arange(8)), whole.test.paths, strict=True):
        from_file = centre_resized(Image.open(path), SIDE, 32)
        assert np.array_equal(np.asarray(centre_resized(Image.fromarray(pixels_of(one)), SIDE, 32)), from_file)


def test_small_images_are_held_in_memory_and_cut_as_the_keys_ask(packed):
    raw = load_dataset(in_pack(packed, image_size=16, holdout_per_class=1, max_train_per_class=3))
    assert (len(raw.train), len(raw.val), len(raw.test)) == (12, 4, 8)
    assert raw.train.pixels.shape == (12, 3, 16, 16)
    first = load_whole(in_pack(packed)).train.packed.at(np.arange(1))[0]
    expected = np.asarray(centre_resized(Image.fromarray(pixels_of(first)), 16, 16)).transpose(2, 0, 1)
    assert np.array_equal(raw.train.pixels[0], expected)


def test_a_class_list_chooses_classes_of_a_pack(packed, tmp_path):
    (tmp_path / "list.txt").write_text("dog\nbee\n")
    raw = load_whole(in_pack(packed, class_list=str(tmp_path / "list.txt")))
    assert raw.classes == ("bee", "dog")
    assert np.bincount(raw.train.labels).tolist() == [5, 5]
    assert all(name.startswith(("train/bee", "train/dog")) for name in raw.train.packed.names)
    assert count_classes(in_pack(packed, class_list=str(tmp_path / "list.txt"))) == 2
    (tmp_path / "list.txt").write_text("dog\ncow\n")
    with pytest.raises(ConfigError, match=r"dataset\.class_list: class cow is not in the pack"):
        locate(in_pack(packed, class_list=str(tmp_path / "list.txt")))


class Stopped(Exception):
    pass


@pytest.mark.parametrize("stop", [4, 16, 20, 24, 28])
def test_stopped_work_is_continued_and_never_taken_for_a_pack(tree, packed, tmp_path, monkeypatch, stop):
    monkeypatch.setattr(packing, "CHUNK", 4)
    out = tmp_path / "pack"
    seen = []

    def told(done, total):
        if done == stop:
            raise Stopped
        seen.append(done)

    with pytest.raises(Stopped):
        make_pack(tree, out, told=told)
    with pytest.raises(ConfigError, match="is no whole pack"):
        locate(in_pack(out))
    with (out / "train.bin").open("ab") as file:
        file.write(b"half an image")
    with (out / "train.rows").open("ab") as file:
        file.write(b"half")
    seen.clear()
    make_pack(tree, out, told=lambda done, total: seen.append(done))
    assert contents(out) == contents(packed)
    assert not [done for done in seen if done < min(stop, 20) and done != 0], "nothing is decoded twice"


def test_a_row_whose_image_is_not_whole_does_not_count(tree, packed, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "CHUNK", 4)
    out = tmp_path / "pack"

    def told(done, total):
        if done == 12:
            raise Stopped

    with pytest.raises(Stopped):
        make_pack(tree, out, told=told)
    os.truncate(out / "train.bin", (out / "train.bin").stat().st_size - 1)
    make_pack(tree, out)
    assert contents(out) == contents(packed)


KILLED = """
import os, signal
from pathlib import Path
from cil.data import packing
from tests.data.packs import make_pack

packing.CHUNK = 4

def told(done, total):
    if done == 12:
        os.kill(os.getpid(), signal.SIGKILL)

make_pack(Path({tree!r}), Path({out!r}), told=told, workers={workers})
"""


@pytest.mark.parametrize("workers", [0, 1])
def test_killed_work_is_continued(tree, packed, tmp_path, workers):
    out = tmp_path / "pack"
    code = KILLED.format(tree=str(tree), out=str(out), workers=workers)
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    killed = subprocess.run([sys.executable, "-c", code], env=environment, cwd=PROJECT, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (out / "train.rows").stat().st_size == 12 * 12
    make_pack(tree, out)
    assert contents(out) == contents(packed)


def test_changed_images_are_refused(tree, tmp_path, monkeypatch):
    mine = shutil.copytree(tree, tmp_path / "tree")
    make_pack(mine, tmp_path / "pack")
    before = contents(tmp_path / "pack")
    make_pack(mine, tmp_path / "pack")
    with pytest.raises(ConfigError, match="20 \\+ 8 images at 40 pixels, now 20 \\+ 8 images at 36 pixels"):
        make_pack(mine, tmp_path / "pack", side=36)
    os.utime(mine / "train/ant/000.jpg", ns=(1, 1))
    with pytest.raises(ConfigError, match="of which files have changed since"):
        make_pack(mine, tmp_path / "pack")
    assert contents(tmp_path / "pack") == before

    monkeypatch.setattr(packing, "CHUNK", 4)

    def told(done, total):
        if done == 8:
            (mine / "val/ant/000.jpg").write_bytes((mine / "val/ant/001.jpg").read_bytes())

    with pytest.raises(DataError, match="have changed while they were packed"):
        make_pack(mine, tmp_path / "other", told=told)
    with pytest.raises(ConfigError, match="of which files have changed since"):
        make_pack(mine, tmp_path / "other")


def test_nothing_is_touched_that_is_no_pack(tree, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(ConfigError, match="mine is there and was not made by this command"):
        make_pack(tree, tmp_path / "mine")
    assert contents(tmp_path / "mine") == {"thesis.txt": b"x"}


@pytest.mark.parametrize("name", ["train.npz", "test.npz", "train.bin", "test.bin", "test.rows"])
def test_files_with_the_names_of_a_packs_are_not_taken_for_its_own(tree, tmp_path, name):
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(ConfigError, match="was not made by this command"):
        make_pack(tree, tmp_path)
    assert contents(tmp_path) == {name: b"mine"}


def test_work_that_was_killed_before_it_was_noted_begins_again(tree, packed, tmp_path):
    (tmp_path / ".packing.json.tmp").write_text("{")
    (tmp_path / "packing.lock").touch()
    make_pack(tree, tmp_path)
    assert contents(tmp_path) == contents(packed)


def test_nothing_is_touched_while_another_process_works(tree, tmp_path):
    (tmp_path / ".packing.json.tmp").write_text("{")
    with (tmp_path / "packing.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        before = contents(tmp_path)
        with pytest.raises(ConfigError, match="another process is making the pack"):
            make_pack(tree, tmp_path)
        assert contents(tmp_path) == before


def test_a_pack_that_another_process_finished_meanwhile_is_taken(tree, packed, tmp_path, monkeypatch):
    look = packing._refuse_foreign

    def finished_meanwhile(out):
        look(out)
        shutil.copytree(packed, out)

    monkeypatch.setattr(packing, "_refuse_foreign", finished_meanwhile)
    make_pack(tree, tmp_path / "pack")
    assert contents(tmp_path / "pack") == contents(packed)


def test_a_broken_image_stops_the_work_by_its_name(tree, tmp_path):
    mine = shutil.copytree(tree, tmp_path / "tree")
    path = mine / "val/cat/001.jpg"
    whole = path.read_bytes()
    path.write_bytes(whole[:-300])
    with pytest.raises(DataError, match=r"cannot read image .*val/cat/001\.jpg"):
        make_pack(mine, tmp_path / "pack")
    assert not (tmp_path / "pack" / "pack.json").exists()


def test_a_full_disk_is_told_before_the_work(tree, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(packing.shutil, "disk_usage", lambda path: usage._replace(free=28 * 3 * SIDE**2 - 1))
    with pytest.raises(DataError, match="the pack takes more than"):
        make_pack(tree, tmp_path / "pack")


def test_the_check_compares_every_image_with_its_checksum(packed, tmp_path, capsys):
    mine = shutil.copytree(packed, tmp_path / "pack")
    arguments = ["check", "image_folder", f"dataset.root={mine}", "dataset.image_size=32", "augment.resized_crop=false"]
    assert main(arguments) == 0
    assert "28 images, none broken" in capsys.readouterr().out
    data = bytearray((mine / "test.bin").read_bytes())
    data[-1] ^= 1
    (mine / "test.bin").write_bytes(data)
    assert main(arguments) == 1
    out = capsys.readouterr().out
    assert f"broken: {mine / 'test.bin'}: val/dog/001.jpg: other bytes than were packed" in out
    assert "28 images, 1 broken" in out
    (mine / "test.bin").write_bytes(data[:-1])
    assert main(arguments) == 1
    assert "test.bin: has" in capsys.readouterr().err


def test_a_pack_has_a_fingerprint_of_its_own_wherever_it_lies(tree, packed, tmp_path):
    mine = shutil.copytree(packed, tmp_path / "pack")
    prints = [listed(load_whole(cfg), cfg.root).fingerprint for cfg in (files(tree), in_pack(packed), in_pack(mine))]
    assert prints[0] != prints[1] == prints[2]
    other = shutil.copytree(tree, tmp_path / "tree")
    shutil.copy(other / "train/ant/000.jpg", other / "train/ant/001.jpg")
    make_pack(other, tmp_path / "changed")
    assert listed(load_whole(in_pack(tmp_path / "changed")), None).fingerprint != prints[1]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"pack_side": 48}, r"dataset\.pack_side: 48, but the pack in .* is of 40 pixels"),
        ({"image_size": 41}, r"dataset\.image_size: 41 is more than the 40 pixels"),
        ({"classes": 3}, r"dataset\.classes: 3, but .* has 4; valid: 4 or null"),
        ({"root": "nowhere"}, r"dataset\.pack_side: 40, but dataset\.root=.*nowhere is no whole pack"),
    ],
)
def test_settings_that_do_not_fit_the_pack_are_refused(packed, keys, message):
    with pytest.raises(ConfigError, match=message):
        locate(in_pack(packed, **keys))


@pytest.mark.parametrize("text", ["", "{}", '{"format": 2, "side": 40}', "[]", '{"format": 1, "side": "x"}'])
def test_a_damaged_head_is_refused(packed, tmp_path, text):
    mine = shutil.copytree(packed, tmp_path / "pack")
    (mine / "pack.json").write_text(text)
    with pytest.raises(ConfigError, match=r"pack\.json"):
        locate(in_pack(mine))


def test_a_damaged_index_is_refused(packed, tmp_path):
    mine = shutil.copytree(packed, tmp_path / "pack")
    (mine / "train.npz").write_bytes((mine / "train.npz").read_bytes()[:-40])
    with pytest.raises(DataError, match=r"train\.npz"):
        load_whole(in_pack(mine))
    assert json.loads((mine / "pack.json").read_text())["side"] == SIDE
