"""Every file of conf/ composes to a valid run, and what stands where in the order of precedence."""

import re
from dataclasses import asdict

import pytest
from omegaconf import OmegaConf

from cil.config.locations import config_dir
from cil.config.schema import (
    AutoAugmentPolicy,
    LossConfig,
    OptimizerConfig,
    ScheduleName,
    Stem,
    TagFexConfig,
    TrainerConfig,
)
from cil.planning.docs import option_docs
from cil.planning.plan import composed_config, plan
from tests.planning.helpers import one

EVERY = sorted(path.relative_to(config_dir()) for path in config_dir().rglob("*.yaml"))
FILES = [path for path in EVERY if path.parts[0] not in ("expect", "experiment")]
"""Experiments and what is expected of them have tests of their own (test_experiments.py)."""
DATASETS = sorted(option_docs("dataset"))


@pytest.fixture(autouse=True)
def _data_is_there(monkeypatch):
    """conf/ is tested, not the data."""
    monkeypatch.setattr("cil.data.sources.locate", lambda cfg: None)
    monkeypatch.setattr("cil.data.sources.count_classes", lambda cfg: 100)
    monkeypatch.setattr("cil.planning.plugins._is_installed", lambda module: True)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_file_composes_to_a_valid_run(path):
    group, option = path.parent.as_posix(), path.stem
    if group == ".":
        assert plan([]).jobs
        return
    arguments = [f"{group}={option}"]
    if group == "split":
        # a data set with enough classes for 100-20
        arguments += ["dataset=image_folder", "dataset.classes=200"]
    if group == "augment":
        arguments += ["dataset.image_size=224"]
    assert len(plan(arguments).jobs) == 1


@pytest.mark.parametrize("path", EVERY, ids=str)
def test_every_file_says_what_it_is(path):
    lines = (config_dir() / path).read_text().splitlines()
    comment = lines[1] if lines[0].startswith("# @package") else lines[0]
    assert re.fullmatch(r"# [A-Z`0-9s].{15,120}\.|# .*\?.*\.", comment), comment


@pytest.mark.parametrize("loss", sorted(option_docs("loss")))
@pytest.mark.parametrize("dataset", DATASETS)
def test_every_loss_with_every_data_set(dataset, loss):
    assert len(plan([f"dataset={dataset}", f"loss={loss}"]).jobs) == 1


def test_schema_defaults_are_those_of_the_group_files():
    config = composed_config(["loss=ant", "margin_schedule=constant"])
    assert config.loss == LossConfig()
    assert config.method == TagFexConfig()
    cifar = composed_config(["dataset=cifar100"])
    assert cifar.optimizer == OptimizerConfig()
    assert cifar.trainer == TrainerConfig()


def test_no_group_file_leaves_a_key_out():
    # composed_config raises for a missing key; a data set or loss must not be what fills it in
    for group in ("optimizer", "trainer", "memory", "tracking", "checkpoint", "method", "augment", "backbone", "split"):
        for option in option_docs(group):
            text = (config_dir() / group / f"{option}.yaml").read_text()
            keys = set(re.findall(r"^(\w+):", text, re.MULTILINE))
            config = composed_config([f"{group}={option}"])
            assert keys == set(asdict(getattr(config, group))), (group, option)


# key, value set by the experiment, value set on the command line
LEVELS = [
    ("seed", 7, 8),
    ("class_order", "random", "pycil"),
    ("dataset.max_train_per_class", 30, 31),
    ("split.increment", 4, 8),
    ("augment.brightness", 0.3, 0.4),
    ("backbone.projector_out", 33, 34),
    ("method.aux_weight", 0.5, 0.6),
    ("loss.temperature", 0.3, 0.4),
    ("margin_schedule.target_margin", 0.6, 0.7),
    ("memory.size", 100, 110),
    ("optimizer.lr", 0.2, 0.3),
    ("trainer.init_epochs", 13, 14),
    ("tracking.progress", False, True),
    ("checkpoint.every_minutes", 3.0, 4.0),
]


def value(config, key):
    for part in key.split("."):
        config = getattr(config, part)
    return config


@pytest.mark.parametrize(("key", "by_experiment", "by_command_line"), LEVELS, ids=[level[0] for level in LEVELS])
def test_experiment_beats_defaults_and_command_line_beats_experiment(key, by_experiment, by_command_line, tmp_path):
    folder = tmp_path / "experiment"
    folder.mkdir()
    lines = key.replace(".", ":\n  ") + f": {str(by_experiment).lower()}\n"
    (folder / "levels.yaml").write_text(f"# @package _global_\n{lines}")
    arguments = ["--config-dir", str(tmp_path), "experiment=levels"]
    assert value(composed_config(), key) not in (by_experiment, by_command_line) or key == "tracking.progress"
    assert value(one(*arguments).config, key) == by_experiment
    final = one(*arguments, f"{key}={str(by_command_line).lower()}")
    assert value(final.config, key) == by_command_line


BROUGHT = [
    ("split.base", 2, 10),
    ("backbone.name", "resnet8", "resnet18"),
    ("backbone.stem", Stem.cifar, Stem.imagenet),
    ("augment.auto_augment", AutoAugmentPolicy.none, AutoAugmentPolicy.imagenet),
    ("class_order", "natural", "pycil"),
    ("dataset.image_size", 8, 224),
]


@pytest.mark.parametrize(("key", "digits", "imagenet"), BROUGHT, ids=[row[0] for row in BROUGHT])
def test_a_data_set_chooses_other_groups(key, digits, imagenet):
    assert value(composed_config(), key) == digits
    assert value(composed_config(["dataset=imagenet100"]), key) == imagenet


@pytest.mark.parametrize(
    "key", ["memory.size", "optimizer.init_milestones", "trainer.init_epochs", "trainer.batch_size"]
)
def test_a_data_set_beats_group_defaults(key):
    group, name = key.split(".")
    (path,) = (config_dir() / group).glob("*.yaml")
    assert value(composed_config(), key) != OmegaConf.load(path)[name]
    assert value(composed_config(["dataset=cifar100"]), key) == OmegaConf.load(path)[name]


def test_group_choices_beat_those_of_a_data_set(tmp_path):
    job = one("dataset=cifar100", "split=50-10", "backbone=resnet20", "augment=none")
    assert (job.config.split.base, job.config.backbone.name, job.config.augment.flip) == (50, "resnet20", False)
    mini = one("experiment=mini_cifar", "split=10-10", "loss=ant")
    assert (mini.config.split.base, mini.config.loss.name, mini.config.backbone.name) == (10, "ant", "resnet20")


def test_experiments_stack_and_debug_shrinks_them():
    config = one("experiment=[mini_cifar,baseline]", "debug=smoke").config
    assert config.dataset.name == "cifar100"
    assert (config.loss.name, config.name, config.trainer.init_epochs) == ("ant", "smoke", 2)


def test_mini_cifar_is_the_reference_setting():
    config = one("experiment=mini_cifar").config
    assert (config.dataset.name, config.class_order, config.loss.name, config.seed) == (
        "cifar100",
        "pycil",
        "infonce",
        1993,
    )
    assert (config.split.base, config.split.increment, config.trainer.max_tasks) == (5, 5, 4)
    assert (config.dataset.max_train_per_class, config.dataset.max_test_per_class) == (100, None)
    assert asdict(config.backbone) == {
        "name": "resnet20", "stem": Stem.cifar, "projector_hidden": 256, "projector_out": 128
    }  # fmt: skip
    assert (config.method.attention_heads, config.memory.size, config.trainer.batch_size) == (8, 200, 64)
    assert (config.trainer.init_epochs, config.trainer.inc_epochs) == (40, 30)
    assert (config.optimizer.init_milestones, config.optimizer.inc_milestones) == ([24, 34], [18, 25])
    rest = one("dataset=cifar100").config
    assert (config.augment, config.loss.temperature) == (rest.augment, 0.2)
    assert (config.optimizer.lr, config.optimizer.init_weight_decay, config.optimizer.inc_weight_decay) == (
        0.1, 5e-4, 2e-4
    )  # fmt: skip


def test_the_main_job_is_full_size():
    config = one("dataset=cifar100", "split=10-10", "loss=ant_adaptive").config
    assert (config.backbone.name, config.backbone.projector_hidden, config.backbone.projector_out) == (
        "resnet18",
        2048,
        1024,
    )
    assert (config.trainer.init_epochs, config.trainer.inc_epochs, config.memory.size) == (200, 170, 2000)
    assert (config.trainer.batch_size, config.class_order, config.method) == (128, "pycil", TagFexConfig())


@pytest.mark.parametrize(
    "spelling", [["split=50-10"], ["split.base=50", "split.increment=10"], ["split.sizes=[50,10,10,10,10,10]"]]
)
def test_imagenet100_50_10_has_its_own_stem(spelling):
    assert one("dataset=imagenet100", *spelling).config.backbone.stem is Stem.imagenet_stride1
    assert one("dataset=imagenet100").config.backbone.stem is Stem.imagenet
    assert one("dataset=imagenet100", *spelling, "backbone.stem=imagenet").config.backbone.stem is Stem.imagenet


def test_losses_bring_their_schedules():
    chosen = {loss: composed_config([f"loss={loss}"]).margin_schedule.name for loss in option_docs("loss")}
    expected = {"ant_adaptive": "linear", "ant_adaptive_gap": "linear", "ant_curriculum": "curriculum"}
    assert chosen == {loss: ScheduleName[expected.get(loss, "constant")] for loss in chosen}
    assert composed_config(["loss=ant_adaptive", "margin_schedule=cosine"]).margin_schedule.name is ScheduleName.cosine
    gap, hard = composed_config(["loss=ant_adaptive_gap"]).loss, composed_config(["loss=ant_hard"]).loss
    assert (gap.gap_beta, gap.gap_target, hard.hard_negative_ratio) == (0.5, 0.7, 0.3)
