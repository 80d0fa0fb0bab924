"""Two tasks in the layout of ImageNet-100, end to end: from files and from a pack, killed and continued exactly."""

import os
import signal
from pathlib import Path

import pytest

from cil.errors import ConfigError
from cil.planning.plan import plan
from cil.report.groups import make_problems
from cil.report.runs import find_runs
from tests.commands import changed
from tests.data.packs import make_pack, write_jpegs
from tests.faults.runs import EVERY_STEP, Ended, assert_same_outcome, result, resume, run

SETTINGS = (
    "device=cpu",
    "dataset=imagenet100",
    "dataset.image_size=72",
    "augment.test_resize=80",
    "dataset.classes=4",
    "split.base=2",
    "split.increment=2",
    "class_order=natural",
    "backbone=resnet8",
    "trainer.init_epochs=2",
    "trainer.inc_epochs=2",
    "trainer.batch_size=4",
    "memory.size=4",
    "tracking.confusion_matrix=false",
    "tracking.similarity_histogram=false",
)
"""Task 1 takes 3 steps an epoch, task 2 with its 2 exemplars as many."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """Made here, or with CIL_IMAGENET a folder of real images of four classes or more."""
    root = tmp_path_factory.mktemp("imagenet")
    real = os.environ.get("CIL_IMAGENET")
    if real is None:
        return write_jpegs(root, scale=2)
    for split in ("train", "val"):
        (root / split).mkdir()
        for folder in sorted(Path(real, split).iterdir())[:4]:
            (root / split / folder.name).symlink_to(folder)
    return root


@pytest.fixture(scope="module")
def roots(tree, tmp_path_factory) -> dict[str, Path]:
    out = tmp_path_factory.mktemp("packs") / "pack"
    make_pack(tree, out, side=80)
    return {"files": tree, "pack": out}


def train(folder: Path, root: Path, *overrides: str, calls: tuple = ()) -> Ended:
    arguments = (*SETTINGS, EVERY_STEP, f"dataset.root={root}", *overrides, f"hydra.run.dir={folder}")
    return run(*arguments, cwd=folder.parent, plan={"faults": [*calls]})


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["pack", "files"])
def test_a_run_killed_in_each_task_ends_as_the_unbroken_one(roots, tmp_path, kind):
    root = roots[kind]
    fast = () if kind == "files" else ("augment.crop_resampling=torch",)
    ended = train(tmp_path / "unbroken", root, "dataset.num_workers=0", *fast)
    assert ended.code == 0, ended.text
    folder = tmp_path / "run"
    assert train(folder, root, "dataset.num_workers=1", *fast, calls=(["optimizer", 3, signal.SIGKILL],)).code == -9
    ended = resume(folder, plan={"faults": [["optimizer", 6, signal.SIGKILL]]})
    assert ended.code == -9, ended.text
    ended = resume(folder)
    assert ended.code == 0, ended.text
    assert_same_outcome(folder, tmp_path / "unbroken")


def test_a_report_never_mixes_files_and_packs(roots, tmp_path):
    (tmp_path / "runs").mkdir()
    for kind, root in roots.items():
        ended = train(tmp_path / "runs" / kind, root, "dataset.num_workers=0", "trainer.max_tasks=1")
        assert ended.code == 0, ended.text
    files, pack = (result(tmp_path / "runs" / kind) for kind in roots)
    assert files["config_id"] != pack["config_id"]
    problems, _ = make_problems(find_runs([tmp_path / "runs"], []).runs)
    assert sorted(problem.title for problem in problems) == [
        "imagenet100, 1 task of 2 classes",
        "imagenet100, 1 task of 2 classes, from a pack of 80 pixels",
    ]


def ids(*overrides: str) -> tuple[str, dict]:
    (job,) = plan([*SETTINGS, *overrides]).jobs
    return job.run_id, job.effective


def test_a_pack_is_recognised_and_part_of_the_identity(roots, tmp_path):
    of_files, effective = ids(f"dataset.root={roots['files']}")
    assert (effective["dataset"]["pack_side"], effective["augment"]["crop_resampling"]) == (None, "pillow")
    of_pack, effective = ids(f"dataset.root={roots['pack']}")
    assert effective["dataset"]["pack_side"] == 80
    assert of_files != of_pack
    torchs, _ = ids(f"dataset.root={roots['pack']}", "augment.crop_resampling=torch")
    assert torchs != of_pack
    resident = ids(f"dataset.root={roots['pack']}", "augment.crop_resampling=torch", "dataset.resident_gb=2")
    assert (resident[0], resident[1]["dataset"]["resident_gb"]) == (torchs, 2)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["dataset.resident_gb=1"], r"dataset\.resident_gb: .* augment\.crop_resampling=torch"),
        (["augment.test_resize=null"], r"augment\.test_resize: null \(here 82\) is more than the 80 pixels"),
        (["augment.test_resize=81"], r"augment\.test_resize: 81 is more than the 80 pixels .* valid: 72 to 80"),
        (["dataset.image_size=81"], r"augment\.test_resize: 80 is smaller than dataset\.image_size=81"),
        (["dataset.pack_side=90"], r"dataset\.pack_side: 90, but the pack in .* is of 80 pixels"),
        (["dataset.classes=5"], r"dataset\.classes: 5, but .* has 4"),
    ],
)
def test_settings_that_do_not_fit_a_pack_stop_before_anything_starts(roots, overrides, message):
    with pytest.raises(ConfigError, match=message):
        plan(changed([*SETTINGS, f"dataset.root={roots['pack']}"], *overrides))


def test_files_have_no_use_for_memory_of_the_device(roots):
    warned = plan([*SETTINGS, f"dataset.root={roots['files']}", "dataset.resident_gb=2"])
    assert warned.jobs[0].effective["dataset"]["resident_gb"] == 0
    assert any("dataset.resident_gb" in line for line in warned.warnings)
