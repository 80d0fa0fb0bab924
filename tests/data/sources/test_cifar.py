"""CIFAR: torchvision's layout, its archive and class folders agree; damaged files are named."""

import contextlib
import functools
import hashlib
import http.server
import os
import shutil
import tarfile
import threading

import numpy as np
import pytest
import torchvision.datasets

from cil.config.schema import DatasetConfig
from cil.data.sources import count_classes, load_dataset, locate
from cil.data.sources._cifar_names import CIFAR10, CIFAR100
from cil.errors import ConfigError, DataError
from tests.data.sources.trees import FakeCifar

NAMES = {10: CIFAR10, 100: CIFAR100}
FILES = {
    10: ("cifar-10-batches-py", "labels", ("batches.meta", "label_names"), [f"data_batch_{i}" for i in range(1, 6)]),
    100: ("cifar-100-python", "fine_labels", ("meta", "fine_label_names"), ["train"]),
}


def config(root, classes=100, **keys):
    return DatasetConfig(
        name=f"cifar{classes}", source="cifar", root=str(root), classes=classes, image_size=keys.pop("size", 32), **keys
    )


@pytest.fixture(params=[10, 100])
def fake(request, tmp_path, monkeypatch):
    """(classes, root of torchvision's layout, root of class folders) with the MD5 sums torchvision checks replaced."""
    classes = request.param
    folder, label_key, meta, train_files = FILES[classes]
    test_file = "test_batch" if classes == 10 else "test"
    cifar = FakeCifar(list(reversed(NAMES[classes])))  # published order need not be sorted
    batches = {"train": train_files, "test": [test_file]}
    sums = cifar.write_batches(tmp_path / "batches" / folder, label_key, meta, batches)
    reader = getattr(torchvision.datasets, f"CIFAR{classes}")
    monkeypatch.setattr(reader, "train_list", [[name, sums[name]] for name in train_files])
    monkeypatch.setattr(reader, "test_list", [[test_file, sums[test_file]]])
    monkeypatch.setattr(reader, "meta", {"filename": meta[0], "key": meta[1], "md5": sums[meta[0]]})
    cifar.write_folders(tmp_path / "folders")
    return classes, tmp_path / "batches", tmp_path / "folders"


def make_archive(classes, batches, folder):
    folder.mkdir()
    archive = folder / f"cifar-{classes}-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(batches / FILES[classes][0], FILES[classes][0])
    return archive


@contextlib.contextmanager
def serving(folder):
    """The address of a web server for `folder` on this machine."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def assert_same(first, second):
    assert first.classes == second.classes
    for split in ("train", "test"):
        a, b = getattr(first, split), getattr(second, split)
        np.testing.assert_array_equal(a.labels, b.labels)
        np.testing.assert_array_equal(a.pixels, b.pixels)


def test_all_layouts_give_the_same_labels_and_pixels(fake, tmp_path):
    classes, batches, folders = fake
    archive = make_archive(classes, batches, tmp_path / "archive")
    raw = load_dataset(config(folders, classes))
    assert raw.classes == tuple(sorted(NAMES[classes]))
    assert raw.train.pixels.shape == (3 * classes, 3, 32, 32)
    assert raw.train.labels.dtype == np.int64
    assert raw.test.labels.tolist() == sorted(list(range(classes)) * 2)
    for root in (batches, batches / FILES[classes][0], archive.parent, archive):
        assert_same(raw, load_dataset(config(root, classes)))


def test_both_layouts_are_cut_and_resized_alike(fake):
    classes, batches, folders = fake
    keys = {"max_train_per_class": 2, "max_test_per_class": 1, "size": 16}
    raw = load_dataset(config(batches, classes, **keys))
    assert raw.train.pixels.shape == (2 * classes, 3, 16, 16)
    assert_same(raw, load_dataset(config(folders, classes, **keys)))


def test_parent_folder_and_batches_first(fake, tmp_path):
    classes, batches, folders = fake
    shutil.move(folders, tmp_path / "parent" / f"cifar{classes}")
    raw = load_dataset(config(tmp_path / "parent", classes))
    assert_same(raw, load_dataset(config(batches, classes)))


@pytest.mark.parametrize("kind", ["truncated", "one bit", "missing"])
def test_damaged_batch_file_is_named(fake, kind):
    classes, batches, _ = fake
    victim = batches / FILES[classes][0] / FILES[classes][3][-1]
    content = bytearray(victim.read_bytes())
    content[100] ^= 1
    if kind == "missing":
        victim.unlink()
    else:
        victim.write_bytes(content[:1000] if kind == "truncated" else content)
    locate(config(batches, classes))
    with pytest.raises(DataError, match=f"{victim}: " + ("No such file" if kind == "missing" else "truncated or dam")):
        load_dataset(config(batches, classes))


@pytest.mark.parametrize("archived", [False, True])
@pytest.mark.parametrize("own_meta", [False, True])
def test_files_of_ones_own_are_not_called_damaged(fake, tmp_path, archived, own_meta):
    classes, batches, _ = fake
    folder, label_key, meta, train_files = FILES[classes]
    kept = (batches / folder / meta[0]).read_bytes()
    own = FakeCifar(list(reversed(NAMES[classes])), train=4, test=1)
    test_file = "test_batch" if classes == 10 else "test"
    own.write_batches(batches / folder, label_key, meta, {"train": train_files, "test": [test_file]})
    (batches / folder / meta[0]).write_bytes(kept + b"." if own_meta else kept)
    root = make_archive(classes, batches, tmp_path / "archive").parent if archived else batches
    with pytest.raises(DataError, match=r"not the published file.*MD5 .*run code.*train/<class>/\*\.png") as error:
        load_dataset(config(root, classes))
    assert "damaged" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.999])
def test_truncated_archive_is_named(fake, tmp_path, share):
    classes, batches, _ = fake
    archive = make_archive(classes, batches, tmp_path / "archive")
    content = archive.read_bytes()
    archive.write_bytes(content[: int(share * len(content))])
    locate(config(archive.parent, classes))
    with pytest.raises(DataError, match=f"{archive}.*truncated") as error:
        load_dataset(config(archive.parent, classes))
    assert "\n" not in str(error.value)


def test_download_replaces_a_damaged_file(fake, tmp_path, monkeypatch):
    classes, batches, folders = fake
    archive = make_archive(classes, batches, tmp_path / "archive")
    reader = getattr(torchvision.datasets, f"CIFAR{classes}")
    monkeypatch.setattr(reader, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    root = tmp_path / "new" / "place"
    with serving(archive.parent) as address:
        monkeypatch.setattr(reader, "url", f"{address}/{archive.name}")
        raw = load_dataset(config(root, classes, download=True))
        assert_same(raw, load_dataset(config(folders, classes)))
        (root / FILES[classes][0] / FILES[classes][3][0]).write_bytes(b"cut")
        (root / archive.name).write_bytes(b"cut")
        assert_same(raw, load_dataset(config(root, classes, download=True)))


def test_failed_download_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", "http://127.0.0.1:1/nothing.tar.gz")
    with pytest.raises(DataError, match=r"download of http://.* failed: ") as error:
        load_dataset(config(tmp_path / "new", 10, download=True))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("create", [True, False])
def test_missing_data_says_what_where_and_how(tmp_path, create):
    root = tmp_path / "nowhere"
    if create:
        root.mkdir()
    with pytest.raises(ConfigError) as error:
        locate(config(root))
    message = str(error.value)
    for part in ("dataset.root", str(root), "cifar-100-python/", "train/<class>/*.png", "test/<class>/*.png"):
        assert part in message
    assert "dataset.download=true" in message
    assert "\n" not in message
    assert ("does not exist" in message) is not create


def test_root_is_relative_to_the_current_folder_or_home(fake, monkeypatch):
    classes, _, folders = fake
    monkeypatch.chdir(folders.parent)
    here = load_dataset(config("folders", classes))
    monkeypatch.chdir("/")
    monkeypatch.setenv("HOME", str(folders.parent))
    at_home = load_dataset(config("~/folders", classes))
    assert np.array_equal(here.train.labels, at_home.train.labels) and here.classes == at_home.classes


@pytest.mark.parametrize("splits", [["train"], ["test"], ["train", "test"]])
def test_missing_class_folder_is_named(fake, splits):
    classes, _, folders = fake
    name = NAMES[classes][4]
    for split in splits:
        shutil.rmtree(folders / split / name)
    with pytest.raises(DataError, match=f"{folders / splits[0] / name}: class folder is missing"):
        load_dataset(config(folders, classes))


def test_files_passed_over_in_class_folders_are_counted(fake):
    classes, _, folders = fake
    (folders / "test" / NAMES[classes][0] / "notes.txt").write_text("x")
    counted = "1 file passed over that is no image by its suffix: 1 .txt"
    assert load_dataset(config(folders, classes)).passed_over == (f"{folders}: {counted}",)


def test_folders_of_another_count_are_refused(fake):
    classes, _, folders = fake
    for split in ("train", "test"):
        shutil.copytree(folders / split / NAMES[classes][0], folders / split / "unicorn")
    with pytest.raises(DataError, match=f"{classes + 1} class folders instead of the {classes}"):
        load_dataset(config(folders, classes))


@pytest.mark.parametrize(
    ("keys", "match"),
    [
        ({"class_list": "list.txt"}, r"dataset\.class_list: "),
        ({"size": 224}, r"dataset\.image_size: 224"),
        ({"root": None}, r"dataset\.root: not set"),
        ({"name": "mine", "classes": 7}, r"dataset\.classes: 7"),
        ({"classes": 7}, r"dataset\.classes: 7, but cifar100 has 100"),
    ],
)
def test_keys_that_do_not_fit(tmp_path, keys, match):
    (tmp_path / "cifar-100-python").mkdir()
    cfg = config(tmp_path, size=keys.pop("size", 32))
    for key, value in keys.items():
        setattr(cfg, key, value)
    with pytest.raises(ConfigError, match=match):
        locate(cfg)


def test_variant_by_name_or_class_count():
    assert count_classes(DatasetConfig(name="cifar10", source="cifar")) == 10
    assert count_classes(DatasetConfig(name="mine", source="cifar", classes=100)) == 100


@pytest.mark.skipif("CIL_CIFAR100" not in os.environ, reason="CIL_CIFAR100 names no folder with CIFAR-100")
def test_real_cifar100():
    raw = load_dataset(config(os.environ["CIL_CIFAR100"], max_train_per_class=20, holdout_per_class=10))
    assert list(raw.classes) == CIFAR100
    assert raw.train.pixels.shape == (2000, 3, 32, 32)
    assert raw.val.pixels.shape == (1000, 3, 32, 32)
    assert raw.test.pixels.shape == (10000, 3, 32, 32)
    assert np.bincount(raw.test.labels).tolist() == [100] * 100
    mean = raw.test.pixels.mean(axis=(0, 2, 3)) / 255
    np.testing.assert_allclose(mean, [0.5071, 0.4867, 0.4408], atol=0.01)  # the published channel means


def test_no_path_of_an_archive_is_followed(fake, tmp_path, monkeypatch):
    classes, batches, folders = fake
    archive = make_archive(classes, batches, tmp_path / "archive")
    (tmp_path / "evil").write_text("evil")
    base = FILES[classes][0]
    with tarfile.open(archive, "w:gz") as tar:
        for name in ("../../up", f"{base}/../../../up", "/tmp/cil-escaped", f"{base}/unknown"):
            tar.add(tmp_path / "evil", name)
        link = tarfile.TarInfo(f"{base}/link")
        link.type, link.linkname = tarfile.SYMTYPE, "../../.."
        tar.addfile(link)
        tar.add(batches / base, base)
    reader = getattr(torchvision.datasets, f"CIFAR{classes}")
    monkeypatch.setattr(reader, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    root = tmp_path / "deep" / "down" / "here"
    with serving(archive.parent) as address:
        monkeypatch.setattr(reader, "url", f"{address}/{archive.name}")
        raw = load_dataset(config(root, classes, download=True))
    assert_same(raw, load_dataset(config(folders, classes)))
    written = sorted(str(path.relative_to(tmp_path / "deep")) for path in (tmp_path / "deep").rglob("*"))
    files = [FILES[classes][2][0], *FILES[classes][3], "test_batch" if classes == 10 else "test"]
    inside = [f"down/here/{base}", *(f"down/here/{base}/{name}" for name in files)]
    assert written == sorted(["down", "down/here", f"down/here/{archive.name}", *inside])
    assert not os.path.lexists("/tmp/cil-escaped")
