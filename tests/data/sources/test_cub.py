"""CUB-200-2011 in its original layout."""

import numpy as np
import pytest

from cil.config.schema import DatasetConfig
from cil.data.packing import pack
from cil.data.sources import count_classes, load_whole, locate
from cil.errors import ConfigError, DataError
from cil.planning.plan import plan
from tests.data.sources.trees import write_image

NAMES = ["001.Black_footed_Albatross", "002.Laysan_Albatross", "003.Sooty_Albatross"]


@pytest.fixture(params=["", "CUB_200_2011"])
def cub(request, tmp_path):
    """Three classes of four images, numbered in an order of their own; every second one is for testing."""
    root = tmp_path / request.param
    lists = {name: [] for name in ("images", "image_class_labels", "train_test_split", "classes")}
    number = 0
    for i in range(4):
        for label, name in enumerate(NAMES, start=1):
            number += 1
            path = f"{name}/Bird_{9 - i:04d}.jpg"
            write_image(root / "images" / path, number)
            lists["images"].append(f"{number} {path}")
            lists["image_class_labels"].append(f"{number} {label}")
            lists["train_test_split"].append(f"{number} {int(i % 2 == 0)}")
    lists["classes"] = [f"{label} {name}" for label, name in enumerate(NAMES, start=1)]
    for name, lines in lists.items():
        (root / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return root


def config(folder, **keys):
    return DatasetConfig(**({"name": "cub200", "source": "cub", "root": str(folder), "image_size": 224} | keys))


def ends(images):
    return ["/".join(path.split("/")[-2:]) for path in images.paths]


def test_the_published_split_is_used(cub, tmp_path):
    locate(config(tmp_path))
    raw = load_whole(config(tmp_path, classes=3))
    assert raw.classes == tuple(NAMES)
    assert raw.train.labels.tolist() == raw.test.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert ends(raw.train) == [f"{name}/Bird_{number:04d}.jpg" for name in NAMES for number in (7, 9)]
    assert ends(raw.test) == [f"{name}/Bird_{number:04d}.jpg" for name in NAMES for number in (6, 8)]
    assert raw.passed_over == ()
    assert count_classes(config(tmp_path)) == 3


def test_a_class_list_chooses_classes(cub, tmp_path):
    (tmp_path / "list.txt").write_text(f"{NAMES[2]}\n{NAMES[0]}\n")
    raw = load_whole(config(tmp_path, class_list=str(tmp_path / "list.txt")))
    assert raw.classes == (NAMES[0], NAMES[2])
    assert np.bincount(raw.train.labels).tolist() == [2, 2]
    assert raw.class_list[0] == "list.txt"
    (tmp_path / "list.txt").write_text("004.Auklet\n")
    with pytest.raises(ConfigError, match=r"dataset\.class_list: 004\.Auklet is no class of .*classes\.txt"):
        locate(config(tmp_path, class_list=str(tmp_path / "list.txt")))


def test_images_that_no_list_names_are_said(cub, tmp_path):
    write_image(cub / "images" / NAMES[0] / "extra.jpg")
    (cub / "images" / "README").write_text("x")
    said = load_whole(config(tmp_path)).passed_over
    assert said == (
        f"{cub}: 1 file passed over that is no image by its suffix: 1 (none)",
        f"{cub / 'images.txt'}: 1 image has no line, passed over: {NAMES[0]}/extra.jpg",
    )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("images", "1 a.jpg\n1 b.jpg\n", r"images\.txt: line 2 is not a new number and its value: '1 b\.jpg'"),
        ("images", "one a.jpg\n", r"images\.txt: line 1 is not a new number"),
        ("image_class_labels", "1 1\n", r"image_class_labels\.txt: no line for number 2"),
        ("train_test_split", "1 yes\n", r"train_test_split\.txt: image 1 has 'yes'; valid: 1 \(train\) or 0 \(test\)"),
        ("train_test_split", "".join(f"{n} 1\n" for n in range(1, 13)), "train or test has no image of class 001"),
        (
            "images",
            "1 001.x/gone.jpg\n2 y.jpg\n3 z.jpg\n4 v.jpg\n5 w.jpg\n6 u.jpg\n",
            r"image is missing \(and 2 more\)",
        ),
    ],
)
def test_faulty_lists(cub, tmp_path, name, text, message):
    (cub / f"{name}.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        load_whole(config(tmp_path))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"root": None}, r"dataset\.root: not set"),
        ({"root": "nowhere"}, r"cub200 is not in .*nowhere \(it does not exist\); looked for images/ and images\.txt"),
        ({"classes": 200}, r"dataset\.classes: 200, but .*classes\.txt has 3; valid: 3 or null"),
    ],
)
def test_settings_that_do_not_fit(cub, tmp_path, keys, message):
    with pytest.raises(ConfigError, match=message):
        locate(config(tmp_path, **keys))


def test_it_can_be_packed(cub, tmp_path):
    raw = load_whole(config(tmp_path))
    pack(raw, tmp_path / "pack", 8, 0, lambda *_: None)
    packed = load_whole(config(tmp_path / "pack", pack_side=8, image_size=8))
    assert packed.classes == raw.classes
    assert packed.train.labels.tolist() == raw.train.labels.tolist()
    assert [name.split("/")[-1] for name in packed.train.packed.names] == [
        one.split("/")[-1] for one in ends(raw.train)
    ]


@pytest.mark.parametrize(("split", "tasks"), [("20-20", 10), ("100-20", 6)])
@pytest.mark.parametrize("dataset", ["cub200", "tiny_imagenet"])
def test_the_published_splits_of_two_hundred_classes(monkeypatch, dataset, split, tasks):
    monkeypatch.setattr("cil.data.sources.locate", lambda cfg: None)
    (job,) = plan([f"dataset={dataset}", f"split={split}"]).jobs
    sizes = job.effective["split"]
    assert 1 + (200 - sizes["base"]) // sizes["increment"] == tasks
    assert job.effective["backbone"]["stem"] == ("imagenet" if dataset == "cub200" else "cifar")
    assert job.effective["dataset"]["image_size"] == (224 if dataset == "cub200" else 64)
