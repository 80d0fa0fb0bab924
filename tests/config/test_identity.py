"""What is, and what is not, part of a run's identity."""

import pytest

from cil.config import identity
from cil.config.identity import run_id
from tests.planning.helpers import one

SAME = [
    ["name=other"],
    ["device=cpu"],
    ["dataset.root=/elsewhere"],
    ["dataset.num_workers=0"],
    ["dataset.download=true"],
    ["trainer.eval_every=3"],
    ["tracking.tensorboard=false"],
    ["tracking.progress=false"],
    ["checkpoint.every_minutes=1"],
    ["trainer.check_every=1"],
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
]


@pytest.mark.parametrize("arguments", SAME, ids=" ".join)
def test_does_not_count(arguments):
    assert one(*arguments).run_id == one().run_id


@pytest.mark.parametrize("arguments", OTHER, ids=" ".join)
def test_counts(arguments):
    assert one(*arguments).run_id != one().run_id


def test_a_version_that_moves_numbers_counts(monkeypatch):
    effective = one().effective
    before = run_id(effective)
    monkeypatch.setattr(identity, "RESULTS_VERSION", identity.RESULTS_VERSION + 1)
    assert run_id(effective) != before


def test_key_order_does_not_count():
    effective = one().effective
    assert run_id(dict(reversed(effective.items()))) == run_id(effective)


def test_a_class_list_counts_by_content(tmp_path):
    effective = one().effective
    ids = []
    for name, text in (("a", "x\ny\n"), ("b", "x\ny\n"), ("c", "x\n")):
        (tmp_path / name).write_text(text)
        effective["dataset"]["class_list"] = str(tmp_path / name)
        ids.append(run_id(effective))
    assert ids[0] == ids[1] != ids[2]


def test_run_id_leaves_its_argument_alone():
    effective = one().effective
    run_id(effective)
    assert effective == one().effective
