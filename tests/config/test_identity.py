"""What is, and what is not, part of a run's identity."""

import pytest

from cil.config import parts
from cil.config.identity import contradiction, identity_part, run_id, settings_of_result
from tests.planning.helpers import one

SAME = [
    ["name=other"],
    ["tags=[a,b]"],
    ["notes=why"],
    ["device=cpu"],
    ["dataset.root=/elsewhere"],
    ["dataset.num_workers=0"],
    ["dataset.download=true"],
    ["trainer.eval_every=3"],
    ["tracking.tensorboard=false"],
    ["tracking.progress=false"],
    ["checkpoint.every_minutes=1"],
    ["trainer.check_every=1"],
    ["trainer.micro_batches=1"],
    ["loss.chunk_rows=null"],
    ["ant_margin=0.1"],
    ["loss.gap_target=0.3"],
    ["margin_schedule.target_margin=0.50"],
    ["hydra.run.dir=/elsewhere"],
    ["class_order_seed=5"],
]
OTHER = [
    ["seed=1"],
    ["ant_margin=0.2"],
    ["loss=infonce"],
    ["loss.ant_beta=0.5"],
    ["loss.reference=global"],
    ["margin_schedule.target_margin=0.6"],
    ["margin_schedule.gap_ratio=0.8"],
    ["split=5-5"],
    ["class_order=pycil"],
    ["dataset.max_train_per_class=50"],
    ["dataset.holdout_per_class=5"],
    ["backbone=resnet20"],
    ["augment.flip=true"],
    ["memory.size=100"],
    ["memory.policy=fixed"],
    ["method.aux_weight=1"],
    ["optimizer.lr=0.05"],
    ["trainer.init_epochs=11"],
    ["trainer.batch_size=32"],
    ["trainer.max_tasks=2"],
    ["trainer.precision=bf16"],
    ["trainer.grad_clip_norm=1"],
    ["trainer.micro_batches=2"],
    ["loss.chunk_rows=64"],
]


@pytest.mark.parametrize("arguments", SAME, ids=" ".join)
def test_does_not_count(arguments):
    assert one(*arguments).run_id == one().run_id


@pytest.mark.parametrize("arguments", OTHER, ids=" ".join)
def test_counts(arguments):
    assert one(*arguments).run_id != one().run_id


def test_a_version_that_moves_numbers_counts_where_its_part_is_used(monkeypatch):
    effective = one().effective
    before = run_id(effective)
    for part, other in (("autoaugment", False), ("data.cifar", False), ("data.digits", True), ("loss.ant", True)):
        monkeypatch.setattr(parts, "VERSIONS", {part: 2})
        assert (run_id(effective) != before) is other, part


def test_what_a_method_does_not_use_is_no_part():
    kept = identity_part(one("method=finetune").effective)
    assert not {"loss", "margin_schedule", "ant_margin", "memory"} & kept.keys()
    assert kept["backbone"] == {"name": "resnet8", "stem": "cifar"}
    assert {"loss", "margin_schedule", "ant_margin", "memory"} <= identity_part(one().effective).keys()


def test_key_order_does_not_count():
    effective = one().effective
    assert run_id(dict(reversed(effective.items()))) == run_id(effective)


def test_a_class_list_counts_by_its_names(tmp_path):
    effective = one().effective
    ids = {}
    texts = {"a": "x\ny\n", "b": "x\ny\n", "order": "y\nx", "layout": "\ufeff# two\r\n\r\n y\r\nx\r\n", "less": "x\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, newline="")
        effective["dataset"]["class_list"] = str(tmp_path / name)
        ids[name] = run_id(effective)
    assert ids["a"] == ids["b"] == ids["order"] == ids["layout"] != ids["less"]
    (tmp_path / "a").write_text("x\nz\n")
    effective["dataset"]["class_list"] = str(tmp_path / "a")
    assert run_id(effective) not in ids.values(), "an edited list is another run"


def test_a_list_that_is_gone_still_leaves_an_id():
    effective = one().effective
    effective["dataset"]["class_list"] = "/nowhere/list.txt"
    assert run_id(effective) != run_id(one().effective)


def test_the_id_without_a_class_list_is_what_it_was():
    dataset = {"class_list": None, "classes": 10, "root": None}
    kept = {"dataset": dataset, "method": {"name": "tagfex"}, "seed": 0, "trainer": {"batch_size": 8}}
    assert run_id(kept) == "2ed7d2f73b47"


def test_run_id_leaves_its_argument_alone():
    effective = one().effective
    run_id(effective)
    assert effective == one().effective


def test_a_result_contradicts_another_configuration_by_its_values():
    effective = one("loss=ant", "seed=3", "dataset.max_train_per_class=9").effective
    result = {"settings": settings_of_result(effective)}
    assert contradiction(result, effective) is None
    assert contradiction({}, effective) is None, "of a version that noted none"
    without_effect = {"name": "x", "tags": ["y"], "device": "cuda", "checkpoint": {"keep_tasks": True}}
    moved = {"dataset": effective["dataset"] | {"root": "elsewhere"}}
    rewritten = {"seed": 3.0, "newer": {"key": 1}, "newest": 2}
    assert contradiction(result, effective | without_effect | moved | rewritten) is None
    edited = effective | {"seed": 4, "dataset": effective["dataset"] | {"max_train_per_class": 8}}
    told = contradiction(result, edited)
    assert told is not None and told.startswith("config.yaml is not the one that result.json is of (")
    assert "seed: 4, not 3" in told and "dataset.max_train_per_class: 8, not 9" in told
    assert contradiction(result, {}).endswith(" more)")
    branch = effective | {"branch": {"run": "r", "task": 1, "run_id": "0" * 12}}
    assert "branch.task: 1, not null" in contradiction(result, branch)
    listed = effective | {"dataset": effective["dataset"] | {"class_list": "x.txt"}}
    assert contradiction(result | {"class_list": {"file": "y.txt"}}, listed) is None, "the list may lie elsewhere"
    told = contradiction(result | {"class_list": None}, listed)
    assert told is not None and "dataset.class_list: x.txt, not null" in told
