"""Promises of the training loop, on digits with a tiny schedule; everything is compared exactly."""

import pytest
import torch

from cil.engine.build import build_trainer
from cil.engine.divergence import Diverged
from cil.engine.loop import Trainer
from cil.planning.plan import compose_jobs
from tests.commands import changed

SMALL = [
    "dataset.max_train_per_class=12",
    "dataset.max_test_per_class=8",
    "trainer.init_epochs=3",
    "trainer.inc_epochs=2",
    "trainer.batch_size=10",
    "memory.size=20",
    "trainer.max_tasks=3",
]


class Watcher:
    """Keeps what a trainer reports."""

    def __init__(self):
        self.epochs, self.tasks, self.steps, self.checks = [], [], [], 0

    def on_step(self, progress, state):
        self.steps.append(progress)

    def on_epoch(self, record):
        self.epochs.append(record)

    def on_task(self, record, state):
        self.tasks.append(record)

    def check(self, state):
        self.checks += 1


def make_trainer(*overrides: str, observer=None) -> Trainer:
    (job,) = compose_jobs(changed(SMALL, *overrides))
    return build_trainer(job.config, observer=observer or Watcher())


def train(*overrides: str) -> Trainer:
    trainer = make_trainer(*overrides)
    trainer.run()
    return trainer


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return trainer.method.network.state_dict()


def assert_equal_weights(a: Trainer, b: Trainer) -> None:
    first, second = weights(a), weights(b)
    assert first.keys() == second.keys()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert not different


def untimed(record: dict) -> dict:
    return {key: value for key, value in record.items() if not key.startswith("time/") and key != "train_seconds"}


def assert_continues(second: Trainer, whole: Trainer) -> None:
    """`second`, continued from the middle of such a run, has ended exactly like the unbroken one."""
    assert_equal_weights(second, whole)
    records = [untimed(r) for r in whole.observer.epochs]
    continued = [untimed(r) for r in second.observer.epochs]
    assert continued == records[len(records) - len(continued) :]
    for part in ("history", "memory"):
        assert getattr(second.task_end, part).state_dict() == getattr(whole.task_end, part).state_dict()
    assert list(map(untimed, second.task_end.task_records)) == list(map(untimed, whole.task_end.task_records))


def test_a_run_repeats_bit_for_bit_whatever_the_global_random_state():
    first = train()
    torch.manual_seed(5)
    second = train()
    assert_equal_weights(first, second)
    assert list(map(untimed, first.observer.epochs)) == list(map(untimed, second.observer.epochs))


def test_evaluating_more_often_leaves_the_weights_as_they_are():
    rarely, often = train(), train("trainer.eval_every=1")
    assert_equal_weights(rarely, often)
    assert [r.get("test/top1") is not None for r in rarely.observer.epochs] == [False, False, True] + [False, True] * 2
    assert all(r["test/top1"] is not None for r in often.observer.epochs)
    assert untimed(rarely.observer.tasks[-1]) == untimed(often.observer.tasks[-1])


def test_task_one_classification_is_the_same_for_every_loss():
    curves = {}
    for loss in ("infonce", "ant", "ant_adaptive", "ant_curriculum", "ant_gap", "ant_hard", "ant_adaptive_gap"):
        trainer = train(f"loss={loss}", "trainer.max_tasks=1", "trainer.eval_every=1")
        names = ("loss/cls", "train/top1", "test/top1", "test/nme_top1")
        curves[loss] = [[r.get(name) for name in names] for r in trainer.observer.epochs]
    assert len({str(curve) for curve in curves.values()}) == 1
    # The invariant is about classification; the contrastive branch itself does differ.
    different = {train(f"loss={loss}", "trainer.max_tasks=1").observer.epochs[-1]["loss/total"] for loss in curves}
    assert len(different) > 3


def test_the_weighted_terms_of_an_epoch_sum_to_its_total():
    trainer = train("loss=ant_adaptive_gap")
    by_task = {record["task"]: record["loss_weights"] for record in trainer.observer.tasks}
    for record in trainer.observer.epochs:
        total = sum(weight * record[f"loss/{name}"] for name, weight in by_task[record["task"]].items())
        assert abs(total - record["loss/total"]) < 1e-5


def test_records_and_steps_cover_the_whole_run():
    trainer = train()
    assert [r["step"] for r in trainer.observer.epochs] == list(range(1, 8))
    assert [(r["task"], r["epoch"]) for r in trainer.observer.epochs] == [
        (1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (3, 1), (3, 2)
    ]  # fmt: skip
    assert abs(sum(step.cost for step in trainer.observer.steps) - 1) < 1e-9
    assert all(step.step <= step.steps for step in trainer.observer.steps)
    assert len(trainer.observer.tasks) == 3


def test_exemplars_are_shared_out_and_trained_with():
    trainer = train()
    # 20 exemplars: 10 a class after task 1, 5 after task 2, 3 after task 3.
    assert [r["exemplars"] for r in trainer.observer.tasks] == [20, 20, 18]
    assert [r["train_images"] for r in trainer.observer.tasks] == [24, 24 + 20, 24 + 20]
    assert [len(v) for v in trainer.task_end.memory.indices.values()] == [3] * 6


def test_without_memory_there_is_no_rehearsal_and_no_nearest_mean():
    trainer = train("memory.size=0")
    assert [r["train_images"] for r in trainer.observer.tasks] == [24, 24, 24]
    assert all(r["task/nme_top1"] is None for r in trainer.observer.tasks)
    assert all(r["task/top1"] is not None for r in trainer.observer.tasks)


def test_a_last_batch_of_one_image_is_trained_with():
    trainer = train("dataset.max_train_per_class=8", "trainer.batch_size=5", "trainer.max_tasks=1")
    assert trainer.observer.steps[0].steps == 4  # 16 images: 5 + 5 + 5 + 1
    assert all(torch.isfinite(t).all() for t in weights(trainer).values() if t.is_floating_point())


def test_holdout_figures_are_named_val():
    trainer = train("dataset.holdout_per_class=3", "trainer.eval_every=1")
    assert all("val/top1" in r and "test/top1" in r for r in trainer.observer.epochs)
    assert len(trainer.task_end.val_history.curves["top1"]) == 3
    assert trainer.observer.tasks[-1]["task/val_top1"] is not None


def test_uneven_split_and_a_class_order_of_ones_own():
    order = "[9,8,7,6,5,4,3,2,1,0]"
    trainer = train("split.sizes=[3,1,2]", f"class_order={order}")
    assert [task.classes for task in trainer.tasks] == [(9, 8, 7), (6,), (5, 4)]
    assert [len(row) for row in trainer.task_end.history.matrices["top1"]] == [1, 2, 3]


def test_the_last_step_of_a_task_is_looked_at_too():
    """Its gradients are finite; the weights it leaves are not."""
    one_step = ("trainer.init_epochs=1", "trainer.batch_size=1000", "trainer.max_tasks=1", "memory.size=0")
    with pytest.raises(Diverged, match=r"task 1, epoch 1, step 1: norm of the weights not finite"):
        train(*one_step, "optimizer.init_milestones=[]", "optimizer.lr=1e38")


def test_fp16_gradients_that_no_scale_makes_finite_are_an_end(monkeypatch):
    monkeypatch.setattr("cil.engine.step.MAX_SKIPPED", 4)
    trainer = make_trainer("trainer.precision=fp16")
    begin = trainer.method.begin_task

    def spoilt(task):
        begin(task)
        for parameter in trainer.method.network.parameters():
            if parameter.requires_grad:
                parameter.register_hook(lambda gradient: gradient * float("nan"))

    monkeypatch.setattr(trainer.method, "begin_task", spoilt)
    with pytest.raises(Diverged, match="gradient norm not finite") as caught:
        trainer.run()
    assert caught.value.place.step + 3 * (caught.value.place.epoch - 1) == 4


@pytest.mark.parametrize("setting", ["trainer.precision=bf16", "trainer.precision=fp16", "trainer.grad_clip_norm=0.5"])
def test_precision_and_clipping_train_and_change_the_weights(setting):
    plain, other = train("trainer.max_tasks=2"), train("trainer.max_tasks=2", setting)
    assert all(torch.isfinite(t).all() for t in weights(other).values() if t.is_floating_point())
    assert any(not torch.equal(weights(plain)[name], weights(other)[name]) for name in weights(plain))
    if setting.endswith("fp16"):
        assert all(0 <= record["train/skipped_share"] < 1 for record in other.observer.epochs)
