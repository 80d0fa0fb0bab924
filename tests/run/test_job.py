"""How a job starts: what is refused before anything runs."""

from hashlib import sha256

import pytest

from tests.commands import changed, run, train
from tests.data.sources.trees import write_tree
from tests.sweep.sweeps import TINY

SETTINGS = [
    "dataset=image_folder", "dataset.root=data", "dataset.class_list=list.txt", "dataset.image_size=8",
    "dataset.classes=null", "split.base=1", "split.increment=1", "memory.size=4", "backbone=resnet8",
    "augment=none", "hydra.run.dir=run", "optimizer.init_milestones=[]", "optimizer.inc_milestones=[]",
]  # fmt: skip


@pytest.fixture
def finished(tmp_path):
    write_tree(tmp_path / "data", {"train": 4, "val": 2}, ["a", "b", "c"])
    (tmp_path / "list.txt").write_text("a\nb\n")
    done = train(*changed(TINY, *SETTINGS, "dataset.max_train_per_class=null"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path


@pytest.mark.parametrize("layout", ["b\r\na\r\n", "\ufeff# two\na\n\nb"])
def test_the_same_classes_in_another_layout_are_the_same_list(finished, layout):
    (finished / "list.txt").write_text(layout, newline="")
    again = run("cil.train", "rerun=run", "seed=7", cwd=finished)
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize("known", ["status.json", "result.json"])
def test_a_list_that_was_edited_is_refused_until_it_is_named(finished, known):
    if known == "result.json":
        (finished / "run/status.json").unlink()
    (finished / "list.txt").write_text("a\nc\n")
    again = run("cil.train", "rerun=run", cwd=finished)
    assert (again.returncode, len(again.stderr.strip().splitlines())) == (2, 1), again.stderr
    assert "list.txt names other classes than when run was started; write dataset.class_list=" in again.stderr
    named = run("cil.train", "rerun=run", "dataset.class_list=list.txt", cwd=finished)
    assert named.returncode == 0, named.stderr


def test_a_result_of_an_older_version_noted_the_bytes(finished):
    from cil.config.class_list import hash_of_result

    old = {"class_list": {"sha256": sha256(b"a\nb\n").hexdigest()}, "class_order": [0, 1], "tasks": [{"names": ["a"]}]}
    assert hash_of_result(old) == sha256(b"a\nb\n").hexdigest()  # cut short by max_tasks: not all names are there
    whole = old | {"tasks": [{"names": ["b"]}, {"names": ["a"]}]}
    assert hash_of_result(whole) == sha256(b"a\nb").hexdigest()
    assert hash_of_result({"class_list": None}) is None


def test_an_optimiser_is_given_the_figure_of_images_held_out_for_it():
    from cil.run.job import objective

    assert objective({"incremental_avg_top1": 60.0}) == 60.0
    assert objective({"incremental_avg_top1": 60.0, "val": {"incremental_avg_top1": 55.0}}) == 55.0
