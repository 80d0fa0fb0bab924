"""Class folders: every layout, and every fault by path and reason."""

import hashlib
import logging
import shutil

import numpy as np
import pytest
from PIL import Image

from cil.config.schema import DatasetConfig
from cil.data.sources import count_classes, load_dataset, locate
from cil.data.sources.image_folder import load
from cil.errors import ConfigError, DataError
from tests.data.sources.trees import write_image, write_tree

CLASSES = ["b", "a", "c-1", "c"]
ORDER = ("a", "b", "c", "c-1")


def config(root, name="image_folder", size=224, **keys):
    return DatasetConfig(name=name, source="image_folder", root=str(root), image_size=size, **keys)


@pytest.fixture
def tree(tmp_path):
    return write_tree(tmp_path / "set", {"train": 3, "val": 2}, CLASSES)


def names_of(images):
    return ["/".join(path.split("/")[-3:]) for path in images.paths]


def test_sorted_classes_and_files(tree):
    raw = load_dataset(config(tree))
    assert raw.classes == ORDER
    assert raw.train.pixels is None
    assert raw.train.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert raw.test.labels.dtype == np.int64
    assert names_of(raw.test) == [f"val/{name}/{i:03d}.png" for name in ORDER for i in range(2)]
    assert count_classes(config(tree)) == 4
    assert raw.class_list is None


def test_hidden_entries_are_ignored_and_other_files_counted(tree):
    whole = load(config(tree))
    assert whole.passed_over == ()
    expected = names_of(whole.train)
    write_image(tree / "train" / ".hidden" / "x.png")
    write_image(tree / "train" / "a" / "._000.png")
    write_image(tree / "train" / "a" / ".cache" / "x.png")
    (tree / "train" / "a" / "notes.txt").write_text("x")
    (tree / "train" / "README.md").write_text("x")
    for name in ("b/x.heic", "b/deep/y.HEIC", "c/Makefile", "c/odd.\n"):
        (tree / "val" / name).parent.mkdir(exist_ok=True)
        (tree / "val" / name).write_text("x")
    raw = load(config(tree))
    assert names_of(raw.train) == expected
    assert raw.passed_over == (
        f"{tree}: 6 files passed over that are no images by their suffix: 2 .heic, 1 (none), 1 '.\\n', 1 .md, 1 .txt",
    )
    (tree / "val" / "c" / "Makefile").unlink()
    assert load(config(tree)).passed_over[0].startswith(f"{tree}: 5 files")


def test_one_file_and_many_suffixes(tree):
    (tree / "train" / "a" / "x.1").write_text("x")
    one = "1 file passed over that is no image by its suffix: 1 .1"
    assert load(config(tree)).passed_over == (f"{tree}: {one}",)
    for number in range(2, 9):
        (tree / "train" / "a" / f"x.{number}").write_text("x")
    assert load(config(tree)).passed_over[0].endswith("suffix: 1 .1, 1 .2, 1 .3, 1 .4, 1 .5, 3 others")


def test_images_beside_the_class_folders_are_said(tree):
    for name in ("z.png", "y.png"):
        write_image(tree / "train" / name)
    assert load(config(tree)).passed_over == (
        f"{tree}/train: 2 images lie outside the class folders, passed over: y.png",
    )
    assert load_dataset(config(tree, size=8)).passed_over == load(config(tree)).passed_over


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".avif", ".jp2", ".tga", ".apng", ".WebP", ".mpo", ".qoi"])
def test_whatever_pillow_reads_is_an_image(tree, suffix):
    if suffix not in Image.registered_extensions() and suffix in (".avif", ".qoi"):
        pytest.skip("this Pillow does not know the format")
    write_image(tree / "train" / "a" / f"zz{suffix}", value=3)
    raw = load_dataset(config(tree, size=8))
    assert raw.passed_over == ()
    assert np.bincount(raw.train.labels).tolist() == [4, 3, 3, 3]
    assert raw.train.pixels[3].std() > 10, "an image, not a black square"


def test_nested_images_links_and_upper_case_suffixes(tree, tmp_path):
    write_image(tmp_path / "elsewhere" / "deep" / "x.png")
    (tmp_path / "elsewhere" / "deep" / "x.png").rename(tmp_path / "elsewhere" / "deep" / "x.JPEG")
    (tree / "train" / "a" / "more").symlink_to(tmp_path / "elsewhere")
    shutil.move(tree / "val" / "b", tmp_path / "moved")
    (tree / "val" / "b").symlink_to(tmp_path / "moved")
    raw = load(config(tree))
    assert raw.train.paths[3].endswith("train/a/more/deep/x.JPEG")
    assert raw.train.labels[:5].tolist() == [0, 0, 0, 0, 1]
    assert raw.test.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_link_that_leads_back_is_refused(tree):
    (tree / "train" / "a" / "loop").symlink_to(tree / "train" / "a")
    with pytest.raises(DataError, match="leads back"):
        load(config(tree))


def test_small_images_are_decoded_and_large_ones_stay_files(tree):
    write_image(tree / "train" / "a" / "000.png", value=5, size=20)
    small = load_dataset(config(tree, size=8))
    assert small.train.paths is None
    assert small.train.pixels.shape == (12, 3, 8, 8)
    assert load_dataset(config(tree, size=64)).train.pixels is not None
    assert load_dataset(config(tree, size=65)).train.pixels is None


def test_test_folder_where_val_is_missing(tree):
    (tree / "val").rename(tree / "test")
    assert names_of(load(config(tree)).test)[0] == "test/a/000.png"
    write_tree(tree, {"val": 1}, CLASSES)
    assert names_of(load(config(tree)).test)[0] == "val/a/000.png"


def test_class_list_chooses_classes(tree, tmp_path):
    listed = tmp_path / "two.txt"
    listed.write_text("c-1\n\n# a comment\n b \n")
    raw = load(config(tree, class_list=str(listed), classes=2))
    assert raw.classes == ("b", "c-1")
    assert names_of(raw.test) == ["val/b/000.png", "val/b/001.png", "val/c-1/000.png", "val/c-1/001.png"]
    assert raw.test.labels.tolist() == [0, 0, 1, 1]
    assert raw.class_list == ("two.txt", hashlib.sha256(b"b\nc-1").hexdigest())
    assert count_classes(config(tree, class_list=str(listed))) == 2


@pytest.mark.parametrize("classes", [1, 3])
def test_class_list_of_another_length(tree, tmp_path, classes):
    (tmp_path / "list.txt").write_text("a\nb\n")
    with pytest.raises(ConfigError, match=rf"dataset\.classes: {classes}, but class_list .* has 2; valid: 2 or null$"):
        locate(config(tree, class_list=str(tmp_path / "list.txt"), classes=classes))


def test_listed_class_without_folder(tree, tmp_path):
    (tmp_path / "list.txt").write_text("a\nzebra\n")
    where = f"it is named in {tmp_path / 'list.txt'}, line 2$"
    for split in ("train", "val"):
        with pytest.raises(DataError, match=f"{tree / split / 'zebra'}: class folder is missing; {where}"):
            load(config(tree, class_list=str(tmp_path / "list.txt")))
        write_image(tree / "train" / "zebra" / "0.png")


@pytest.mark.parametrize("split", ["train", "val"])
def test_empty_class_folder(tree, split):
    shutil.rmtree(tree / split / "b")
    (tree / split / "b").mkdir()
    (tree / split / "b" / "notes.txt").write_text("x")
    with pytest.raises(
        DataError, match=f"{tree / split / 'b'}: class folder is empty: no image in it .1 file.* 1 .txt"
    ):
        load(config(tree))


def test_missing_class_folder_in_val(tree):
    shutil.rmtree(tree / "val" / "b")
    with pytest.raises(DataError, match=f"{tree / 'val' / 'b'}: class folder is missing"):
        load(config(tree))


def test_class_of_val_only_moves_no_label(tree, caplog):
    write_image(tree / "val" / "aardvark" / "0.png")
    with caplog.at_level(logging.WARNING):
        raw = load(config(tree))
    assert raw.classes == ORDER
    assert raw.test.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert "aardvark" in caplog.text


def test_flat_val(tree):
    shutil.rmtree(tree / "val")
    write_image(tree / "val" / "ILSVRC2012_val_00000001.png")
    with pytest.raises(DataError, match=f"{tree / 'val'}: flat folder.*expected class folders {tree}/val/<class>"):
        load(config(tree))


def test_no_val_at_all(tree):
    shutil.rmtree(tree / "val")
    with pytest.raises(DataError, match=f"{tree / 'val'}: not there"):
        load(config(tree))


@pytest.mark.parametrize("damage", [b"", b"no image", None])
def test_unreadable_image(tree, damage):
    victim = tree / "train" / "b" / "001.png"
    content = victim.read_bytes()
    victim.write_bytes(content[: len(content) // 2] if damage is None else damage)
    with pytest.raises(DataError, match=f"cannot read image {victim}: ."):
        load_dataset(config(tree, size=8))


def test_broken_link_is_an_unreadable_image(tree):
    (tree / "train" / "b" / "zzz.png").symlink_to(tree / "gone.png")
    with pytest.raises(DataError, match=r"zzz\.png: No such file"):
        load_dataset(config(tree, size=8))


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("image_folder", "sort your images"),
        ("imagenet100", "class_list"),
        ("tiny_imagenet", r"val_annotations\.txt.*zip"),
    ],
)
def test_missing_data_says_what_where_and_how(tmp_path, name, how):
    with pytest.raises(ConfigError, match=rf"dataset\.root: .*{tmp_path}/no.*train/<class>/\*.*{how}") as error:
        locate(config(tmp_path / "no", name=name))
    assert "\n" not in str(error.value)


def test_flat_train_and_unset_root(tmp_path):
    write_image(tmp_path / "train" / "0.png")
    with pytest.raises(ConfigError, match="images directly in it"):
        locate(config(tmp_path))
    with pytest.raises(ConfigError, match=r"dataset\.root: not set"):
        locate(DatasetConfig(source="image_folder", root=None))


def test_class_count_must_fit(tree):
    with pytest.raises(ConfigError, match=r"dataset\.classes: 3, but .*train has 4.*class_list"):
        locate(config(tree, classes=3))
    locate(config(tree, classes=5))
    with pytest.raises(DataError, match=r"train: 4 classes, but dataset\.classes is 5"):
        load(config(tree, classes=5))


@pytest.fixture
def tiny(tmp_path):
    """Tiny-ImageNet as published, in the parent folder of what the zip holds."""
    root = tmp_path / "tiny-imagenet-200"
    lines = []
    for label, name in enumerate(["n02", "n01"]):
        for i in range(2):
            write_image(root / "train" / name / "images" / f"{name}_{i}.JPEG", value=10 * label + i, size=64)
        (root / "train" / name / f"{name}_boxes.txt").write_text("x")
    for i, name in enumerate(["n02", "n01", "n02", "n01"]):
        write_image(root / "val" / "images" / f"val_{i}.JPEG", value=100 + i, size=64)
        lines.append(f"val_{i}.JPEG\t{name}\t0\t0\t62\t63")
    write_image(root / "test" / "images" / "test_0.JPEG", size=64)
    (root / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    return root


def tiny_config(tiny, **keys):
    return config(tiny.parent, name="tiny_imagenet", **keys)


def test_tiny_imagenet_as_published(tiny):
    raw = load(tiny_config(tiny, classes=2))
    assert raw.passed_over == (), "the lists that belong to it are not said"
    assert raw.classes == ("n01", "n02")
    assert [path.split("/")[-1] for path in raw.test.paths] == ["val_1.JPEG", "val_3.JPEG", "val_0.JPEG", "val_2.JPEG"]
    assert raw.test.labels.tolist() == [0, 0, 1, 1]
    assert load_dataset(tiny_config(tiny, size=64)).test.pixels.shape == (4, 3, 64, 64)


@pytest.mark.parametrize("inner", ["", "images"])
def test_tiny_imagenet_prepared(tiny, inner):
    published = load(tiny_config(tiny))
    for path, label in zip(published.test.paths, published.test.labels, strict=True):
        folder = tiny / "val" / published.classes[label] / inner
        folder.mkdir(parents=True, exist_ok=True)
        shutil.move(path, folder)
    prepared = load(tiny_config(tiny))
    assert prepared.test.labels.tolist() == published.test.labels.tolist()
    assert [p.split("/")[-1] for p in prepared.test.paths] == [p.split("/")[-1] for p in published.test.paths]


@pytest.mark.parametrize(
    ("lines", "match"), [("val_0.JPEG n01\n", "line 1 is not"), ("val_0.JPEG\tn01\n", "no image of class n02")]
)
def test_faulty_annotations(tiny, lines, match):
    (tiny / "val" / "val_annotations.txt").write_text(lines)
    with pytest.raises(DataError, match=rf"val_annotations\.txt: {match}"):
        load(tiny_config(tiny))


def test_annotated_image_that_is_missing(tiny):
    (tiny / "val" / "images" / "val_3.JPEG").unlink()
    with pytest.raises(DataError, match=r"val_3\.JPEG: No such file"):
        load_dataset(tiny_config(tiny, size=64))


def test_image_without_annotation_is_said(tiny):
    write_image(tiny / "val" / "images" / "val_9.JPEG", size=64)
    (line,) = load(tiny_config(tiny)).passed_over
    assert line == f"{tiny}/val/val_annotations.txt: 1 images beside it have no line, passed over: val_9.JPEG"


def test_tiny_imagenet_by_another_name(tiny):
    published = load(tiny_config(tiny))
    assert load(config(tiny)).test.paths.tolist() == published.test.paths.tolist()
    with pytest.raises(ConfigError, match=f"but {tiny} has; set dataset.root to that"):
        locate(config(tiny.parent))
    (tiny / "val" / "val_annotations.txt").unlink()
    with pytest.raises(DataError, match=r"val: looks like Tiny-ImageNet's val/ as published, but val_annotations\.txt"):
        load(config(tiny))


@pytest.mark.parametrize("inner", ["", "CUB_200_2011"])
def test_cub_is_recognised(tmp_path, inner):
    root = tmp_path / inner
    write_image(root / "images" / "001.Black_footed_Albatross" / "x.jpg")
    for name in ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt"):
        (root / name).write_text("1 x\n")
    said = (
        rf"dataset\.root: {root} looks like CUB-200-2011 in its original layout, which dataset=cub200 reads; expected "
    )
    with pytest.raises(ConfigError, match=said + r"train/<class>/\* and val/<class>/\*$"):
        locate(config(tmp_path))


def test_class_folders_without_a_split_are_recognised(tmp_path):
    write_image(tmp_path / "ant" / "x.jpg")
    with pytest.raises(ConfigError, match="has class folders of images, but they are not divided into train/ and val/"):
        locate(config(tmp_path))
