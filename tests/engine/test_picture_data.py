"""What figures are drawn from; collecting it changes no result."""

import numpy as np
import pytest
import torch

from cil.data.stream import Task
from cil.engine.evaluate import Scores
from cil.engine.picture_data import BINS, confusion, similarity_histogram
from tests.engine.test_loop import assert_equal_weights, make_trainer, train, untimed

OFF = ("tracking.confusion_matrix=false", "tracking.similarity_histogram=false")


def scores(confusion):
    matrix = np.array(confusion, dtype=np.int64)
    return Scores(matrix.sum(axis=1), {}, {"classifier": matrix})


@pytest.mark.parametrize(
    ("confusion", "first", "chance"),
    [
        ([[50, 0], [50, 0]], 0, True),  # always the first class
        ([[25, 25], [25, 25]], 0, True),  # coin tosses
        ([[40, 10], [10, 40]], 0, False),
        ([[10, 40], [40, 10]], 0, True),  # worse than chance
        ([[50, 0, 0, 0], [0, 50, 0, 0], [50, 0, 0, 0], [0, 50, 0, 0]], 2, True),  # new images all taken for old
        ([[50, 0, 0, 0], [0, 50, 0, 0], [28, 0, 22, 0], [0, 28, 0, 22]], 2, False),  # few, but never mixed up
        ([[50, 0, 0, 0], [0, 50, 0, 0], [0, 0, 50, 0], [0, 0, 50, 0]], 2, True),  # always one of the new ones
        ([[30, 20], [25, 25]], 1, True),  # a single new class: no better than one in two
        ([[50, 0], [5, 45]], 1, False),
        ([[50]], 0, False),  # nothing to be mistaken for
    ],
)
def test_chance_is_what_not_looking_would_give(confusion, first, chance):
    assert scores(confusion).at_chance(first) is chance


def test_every_task_says_whether_it_was_learned():
    records = train("trainer.init_epochs=12", "dataset.max_train_per_class=null", "trainer.max_tasks=1").observer.tasks
    assert [r["new_classes_at_chance"] for r in records] == [False]
    frozen = train("optimizer.lr=1e-9", "trainer.max_tasks=1").observer.tasks
    assert [r["new_classes_at_chance"] for r in frozen] == [True]


def test_figures_leave_the_results_alone():
    drawn, plain = train(), train(*OFF)
    assert_equal_weights(drawn, plain)
    assert [untimed(r) for r in drawn.observer.epochs] == [untimed(r) for r in plain.observer.epochs]
    assert drawn.task_end.memory.state_dict() == plain.task_end.memory.state_dict()
    assert all(record["figures"] == {} for record in plain.observer.tasks)
    assert [untimed(r) for r in drawn.task_end.task_records] == [untimed(r) for r in plain.task_end.task_records]


def test_without_tensorboard_nothing_is_collected():
    assert train("tracking.tensorboard=false", "trainer.max_tasks=1").observer.tasks[0]["figures"] == {}


def test_the_numbers_belong_to_the_task():
    trainer = train()
    for record in trainer.observer.tasks:
        data, classes = record["figures"], 2 * record["task"]
        counts = np.array(data["confusion"]["counts"])
        assert counts.shape == (classes, classes)
        assert counts.sum(axis=1).tolist() == [8] * classes
        accuracy = 100 * np.trace(counts) / counts.sum()
        assert accuracy == pytest.approx(record["task/top1"])
        assert data["confusion"]["starts"] == list(range(0, classes, 2))
        similarity = data["similarity"]
        assert len(similarity["pos"]) == len(similarity["neg"]) == BINS
        # Batches of 10 (both views: 20 positives; view 1 alone: 10 * 9 negatives).
        # 24 new images, and of the old ones 2 classes of 5 exemplars, then 4 of 3.
        batches = {1: (10, 10, 4), 2: (10, 10, 10, 4), 3: (10, 10, 10, 6)}[record["task"]]
        assert sum(similarity["pos"]) == 2 * sum(batches)
        assert sum(similarity["neg"]) == sum(size * (size - 1) for size in batches)


def test_many_classes_are_shown_by_task():
    counts = np.ones((201, 201), dtype=np.int64)
    tasks = [Task(1, tuple(range(100)), (), 0), Task(2, tuple(range(100, 201)), (), 100)]
    data = confusion(counts, tasks)
    assert data == {"unit": "task", "starts": [0, 1], "counts": [[10000, 10100], [10100, 10201]]}


class Pairs:
    """A method with known similarities."""

    def __init__(self, pairs):
        self.network = torch.nn.BatchNorm1d(3)
        self.pairs = pairs

    def similarities(self, views):
        assert not self.network.training
        return self.pairs


class Batch:
    views = None


def histogram(pairs, batches=2):
    method = Pairs(pairs)
    found = similarity_histogram(method, iter([Batch()] * batches), torch.no_grad, lambda: None)
    assert method.network.training
    return found


def test_histogram_counts_every_pair():
    found = histogram((torch.tensor([1.0, 1.0000001, -1.0, 0.01]), torch.tensor([[0.5, 0.5]])))
    assert found["pos"][-1] == 4
    assert found["pos"][0] == found["pos"][BINS // 2] == 2
    assert found["neg"][60] == 4
    assert found["neg_mean"] == 0.5


def test_no_negatives_and_no_contrastive_branch():
    found = histogram((torch.ones(2), torch.empty(1, 1, 0)))
    assert found["neg_mean"] is None
    assert histogram(None) is None


def test_the_probe_can_be_stopped():
    trainer = make_trainer("trainer.max_tasks=1")
    trainer.run()
    checks = trainer.observer.checks
    plain = make_trainer("trainer.max_tasks=1", *OFF)
    plain.run()
    assert checks - plain.observer.checks == 3  # 24 images in batches of 10
