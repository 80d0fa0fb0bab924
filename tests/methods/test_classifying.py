"""finetune, replay and joint: each by its defining equation, in training as the loop runs it."""

import pytest
import torch
import torch.nn.functional as F

from cil.config.schema import BackboneConfig, RunConfig
from cil.data.stream import Task
from cil.methods.finetune import Finetune
from cil.methods.joint import Joint
from cil.methods.replay import Replay
from tests.engine.test_loop import assert_equal_weights, train

CONFIG = RunConfig(backbone=BackboneConfig(name="resnet8"))


def begun(kind, *sizes: int):
    method, first = kind(CONFIG), 0
    for number, size in enumerate(sizes, 1):
        method.begin_task(Task(number, tuple(range(first, first + size)), ("x",) * size, first))
        first += size
    method.network.train()
    return method


def batch(images: int, low: int, high: int):
    draws = torch.Generator().manual_seed(3)
    return torch.randn(images, 3, 8, 8, generator=draws), torch.randint(low, high, (images,), generator=draws)


def equation(kind, logits, targets, old: int) -> torch.Tensor:
    """Row by row, from the definition."""
    first = old if kind is Finetune else 0
    rows = [-torch.log_softmax(row[first:], 0)[y - first] for row, y in zip(logits, targets, strict=True)]
    return torch.stack(rows).mean()


@pytest.mark.parametrize("kind", [Finetune, Replay, Joint])
def test_the_defining_equation(kind):
    method = begun(kind, 3, 2)
    views, targets = batch(6, 3 if kind is Finetune else 0, 5)
    outputs = method.network(views)
    assert outputs.logits.shape == (6, 5)
    output = method.loss(outputs, targets)
    torch.testing.assert_close(output.total, equation(kind, outputs.logits, targets, 3))
    assert list(output.terms) == ["cls"]


def test_a_step_of_finetune_leaves_the_old_rows_as_they_are_weight_decay_included():
    method = begun(Finetune, 3, 2)
    before = {name: value.clone() for name, value in method.network.state_dict().items()}
    trained = [p for p in method.network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1, momentum=0.9, weight_decay=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        views, targets = batch(6, 3, 5)
        method.loss(method.network(views), targets).total.backward()
        optimizer.step()
    after = method.network.state_dict()
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert not any(name.startswith("heads.0.") for name in moved)
    assert {"heads.1.weight", "heads.1.bias", "backbone.stem.0.weight"} <= moved


@pytest.mark.parametrize("kind", [Finetune, Replay])
def test_a_new_head_leaves_the_old_logits_as_they_are(kind):
    method = begun(kind, 3)
    method.network.eval()
    images, _ = batch(4, 0, 3)
    before = method.predict(images)
    method.begin_task(Task(2, (3, 4), ("d", "e"), 3))
    method.network.eval()
    after = method.predict(images)
    assert after.logits.shape == (4, 5)
    torch.testing.assert_close(after.logits[:, :3], before.logits)
    assert torch.equal(after.features, before.features)


def test_joint_starts_each_task_from_fresh_weights():
    method = begun(Joint, 3)
    first = method.network
    method.begin_task(Task(2, (3, 4), ("d", "e"), 3))
    assert method.network is not first
    assert method.network.known == 5
    assert not torch.equal(method.network.backbone.stem[0].weight, first.backbone.stem[0].weight)


def test_the_task_before_does_not_matter_to_joint_and_all_its_images_are_trained_with():
    whole, alone = train("method=joint", "trainer.max_tasks=2"), train("method=joint", "trainer.max_tasks=2", "seed=7")
    assert [r["train_images"] for r in whole.observer.tasks] == [24, 48]
    assert [r["epoch"] for r in whole.observer.epochs] == [1, 2, 3, 1, 2, 3]  # init_epochs in every task
    assert all(r["exemplars"] == 0 and r["task/nme_top1"] is None for r in whole.observer.tasks)
    assert whole.observer.epochs[-1]["loss/cls"] != alone.observer.epochs[-1]["loss/cls"]


def test_finetune_and_replay_are_alike_in_task_1_and_rehearse_or_not_afterwards():
    finetune, replay = train("method=finetune", "trainer.max_tasks=1"), train("method=replay", "trainer.max_tasks=1")
    assert_equal_weights(finetune, replay)
    finetune, replay = train("method=finetune"), train("method=replay")
    assert [r["train_images"] for r in finetune.observer.tasks] == [24, 24, 24]
    assert [r["train_images"] for r in replay.observer.tasks] == [24, 24 + 20, 24 + 20]
    assert all(r["task/nme_top1"] is None for r in finetune.observer.tasks)
    assert all(r["task/nme_top1"] is not None for r in replay.observer.tasks)


def test_one_view_is_the_first_of_the_two_that_tagfex_sees():
    one, two = train("method=replay", "trainer.max_tasks=1"), train("trainer.max_tasks=1")
    assert one.method.views == 1 and two.method.views == 2
    from cil.data.views import EpochKey

    images = one.training_set.images(one.tasks[0])
    key = EpochKey(one.config.seed, 1, 0)
    single = next(iter(one.data.loader.train_batches(*images, 10, key, views=1)))
    double = next(iter(two.data.loader.train_batches(*images, 10, key, views=2)))
    assert single.views.shape[0] == 10 and double.views.shape[0] == 20
    assert torch.equal(single.views, double.views[:10])
    assert torch.equal(F.one_hot(single.targets), F.one_hot(double.targets))
