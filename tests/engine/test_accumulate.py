import copy

import numpy as np
import pytest
import torch

from cil.config.schema import LossConfig, Negatives, Precision
from cil.distributed.share import Share
from cil.engine.accumulate import backward, backward_in_parts, micro_rows
from cil.engine.precision import autocast
from tests.engine.test_loop import assert_continues, assert_equal_weights, make_trainer, train, untimed
from tests.engine.test_resume import Stop, StopAt
from tests.methods.test_tagfex import batch, begin, step, tagfex


def no_autocast(rows=None):
    return autocast(Precision.fp32, torch.device("cpu"))


def gradients(method) -> dict[str, torch.Tensor]:
    return {name: p.grad for name, p in method.network.named_parameters() if p.grad is not None}


def test_micro_batches_keep_both_views_of_an_image_together():
    rows = micro_rows(5, 2)
    assert [r.tolist() for r in rows] == [[0, 1, 2, 5, 6, 7], [3, 4, 8, 9]]
    assert sorted(torch.cat(micro_rows(7, 100)).tolist()) == list(range(14))
    assert [r.tolist() for r in micro_rows(0, 2)] == [[]]  # a process without an image of a short batch


def test_processes_part_a_batch_at_the_same_images():
    parts = [micro_rows(11, 3, 1, Share(rank, 4)) for rank in range(4)]
    own = [np.arange(11)[Share(rank, 4).rows(11)] for rank in range(4)]
    for number, chunk in enumerate(micro_rows(11, 3, 1)):
        images = [own[rank][parts[rank][number].numpy()] for rank in range(4)]
        assert sorted(np.concatenate(images).tolist()) == chunk.tolist()
        assert all(len(held) <= 1 for held in images), "shared out evenly"


@pytest.mark.parametrize("parts", [2, 3, 50])
@pytest.mark.parametrize("sizes", [(3,), (2, 2)])
def test_loss_and_gradient_are_those_of_the_whole_batch(parts, sizes):
    whole = begin(tagfex(), *sizes)
    whole.network.double()
    # Batch-norm in eval mode: everything else is the same function of the whole batch.
    whole.network.eval()
    split = copy.deepcopy(whole)
    views, targets = batch(7, classes=sum(sizes))
    expected = step(whole, views.double(), targets)
    expected.total.backward()
    result = backward_in_parts(split, views.double(), targets, parts, no_autocast, lambda loss: loss)
    torch.testing.assert_close(result.total, expected.total)
    assert gradients(split).keys() == gradients(whole).keys()
    for name, gradient in gradients(whole).items():
        torch.testing.assert_close(gradients(split)[name], gradient, msg=name)


def without_batch_statistics(network: torch.nn.Module) -> None:
    """Group norms in place of batch norms."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, torch.nn.BatchNorm2d):
                setattr(module, name, torch.nn.GroupNorm(1, child.num_features))
    network.double()


@pytest.mark.parametrize("chunk_rows", [None, 4])
def test_training_in_parts_and_chunks_is_training_at_once_where_nothing_looks_at_the_batch(chunk_rows):
    """All of it together: micro-batches, and their loss in chunks, over some steps of SGD."""
    whole = begin(tagfex(LossConfig(negatives=Negatives.all, gap_beta=0.5, gap_target=1.5)), 2)
    without_batch_statistics(whole.network)
    split = copy.deepcopy(whole)
    split.contrastive_loss = begin(
        tagfex(LossConfig(negatives=Negatives.all, gap_beta=0.5, gap_target=1.5, chunk_rows=chunk_rows)), 2
    ).contrastive_loss
    before = copy.deepcopy(whole.network.state_dict())
    for method, parts in ((whole, 1), (split, 3)):
        optimizer = torch.optim.SGD(method.network.parameters(), lr=0.1, momentum=0.9)
        for seed in range(3):
            views, targets = batch(7, classes=2, seed=seed)
            optimizer.zero_grad()
            backward(method, views.double(), targets, parts, no_autocast, lambda loss: loss)
            optimizer.step()
    for (name, ours), theirs in zip(split.network.named_parameters(), whole.network.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9, msg=name)
    moved = max((whole.network.state_dict()[name] - value).abs().max() for name, value in before.items())
    assert moved > 1e-3


def test_running_statistics_move_once_for_each_image():
    method = begin(tagfex(), 2)
    by_hand = copy.deepcopy(method)
    views, targets = batch(4, classes=2)
    backward_in_parts(method, views, targets, 2, no_autocast, lambda loss: loss)
    for rows in micro_rows(4, 2):
        by_hand.network(views[rows])
    for (name, ours), theirs in zip(method.network.named_buffers(), by_hand.network.buffers(), strict=True):
        assert torch.equal(ours, theirs), name


class SmallMemory:
    """Makes a network run out of memory above a number of rows, from the n-th training step on."""

    def __init__(self, trainer, rows: int, steps: int):
        self.rows, self.forward, self.trainer, self.steps = rows, trainer.method.network.forward, trainer, steps
        self.specific = trainer.method.network.specific
        trainer.method.network.forward = self
        trainer.method.network.specific = self  # the second of the parts that a step computes in turn

    def __call__(self, images, *more):
        active = self.trainer.method.network.training and len(self.trainer.observer.steps) >= self.steps
        outputs = self.specific(images, *more) if more else self.forward(images)
        if active and len(images) > self.rows:
            raise torch.OutOfMemoryError("simulated")  # late, as in backward: running statistics have moved
        return outputs


def test_without_the_setting_running_out_of_memory_ends_the_run():
    trainer = make_trainer()
    SmallMemory(trainer, rows=12, steps=3)
    with pytest.raises(torch.OutOfMemoryError):
        trainer.run()
    assert len(trainer.observer.steps) == 3


def test_the_run_goes_on_from_the_same_step_and_records_the_change():
    trainer = make_trainer("trainer.on_oom=accumulate")
    SmallMemory(trainer, rows=6, steps=4)
    trainer.run()
    # Batches of 10 images, 20 rows: halved to 10 and 6 rows.
    assert trainer.stepper.memory_events == [
        {"task": 1, "epoch": 2, "step": 2, "micro_batches": 2},
        {"task": 1, "epoch": 2, "step": 2, "micro_batches": 4},
    ]
    assert len(trainer.observer.tasks) == 3
    assert len(trainer.observer.steps) == len(train().observer.steps)
    # A failed attempt leaves running statistics as they were: 4 whole steps, then 5 in 4 micro-batches of task 1.
    assert trainer.method.network.ts_nets[0].stem[1].num_batches_tracked == 4 + 5 * 4


def test_micro_batches_survive_a_resume():
    unbroken = make_trainer("trainer.on_oom=accumulate")
    SmallMemory(unbroken, rows=6, steps=4)
    unbroken.run()
    first = make_trainer("trainer.on_oom=accumulate", observer=StopAt("step", 7))
    SmallMemory(first, rows=6, steps=4)
    with pytest.raises(Stop):
        first.run()
    second = make_trainer("trainer.on_oom=accumulate")
    second.load_state_dict(first.observer.state)
    second.run()
    assert second.stepper.memory_events == unbroken.stepper.memory_events
    assert_equal_weights(second, unbroken)
    assert untimed(second.observer.tasks[-1]) == untimed(unbroken.observer.tasks[-1])


IN_PARTS = ("trainer.micro_batches=3", "loss.chunk_rows=6")


def test_a_run_is_in_micro_batches_from_the_start_if_it_is_told_to():
    trainer = train(*IN_PARTS, "trainer.max_tasks=1")
    steps = len(trainer.observer.steps)
    assert trainer.method.network.ts_nets[0].stem[1].num_batches_tracked == 3 * steps
    assert trainer.stepper.memory_events == []


@pytest.mark.parametrize("count", [2, 10])
def test_it_continues_bit_for_bit(count):
    unbroken = train(*IN_PARTS)
    first = make_trainer(*IN_PARTS, observer=StopAt("step", count))
    with pytest.raises(Stop):
        first.run()
    second = make_trainer(*IN_PARTS)
    second.load_state_dict(first.observer.state)
    second.run()
    assert_continues(second, unbroken)


def test_memory_that_runs_out_splits_further():
    trainer = make_trainer(*IN_PARTS, "trainer.on_oom=accumulate", "trainer.max_tasks=1")
    SmallMemory(trainer, rows=6, steps=4)
    trainer.run()
    assert [event["micro_batches"] for event in trainer.stepper.memory_events] == [6]


@pytest.mark.parametrize(("events", "expected"), [([], 3), ([{"micro_batches": 8}], 8), ([{"micro_batches": 2}], 3)])
def test_a_checkpoint_has_a_say_only_where_memory_had_run_out(events, expected):
    """A run that branches off another one (from_task) may ask for other micro-batches than that one."""
    trainer = make_trainer(*IN_PARTS)
    trainer.stepper.load_micro_batches(events[0]["micro_batches"] if events else 1, events)
    assert trainer.stepper.micro_batches == expected
