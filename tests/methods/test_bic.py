"""BiC: what is held out, and the phase that corrects."""

import re

import numpy as np
import pytest
import torch

from cil.errors import ConfigError, DataError
from cil.methods.phases import kept_apart
from cil.models.corrected_net import Correction
from cil.planning.plan import plan
from tests.engine.test_loop import make_trainer, train, weights
from tests.methods.networks import batch, begun, copied, cross_entropy, moved, step


def test_the_last_images_of_each_class_are_held_out_as_many_as_the_memory_can_spare():
    targets = np.array([2] * 9 + [3] * 12 + [0] * 10 + [1] * 10)
    train_on, held = kept_apart(first=2, share=0.2)
    rows = held(targets)
    assert rows.tolist() == [7, 8, 19, 20, 29, 30, 39, 40]
    assert sorted([*train_on(targets), *rows]) == list(range(len(targets)))


def test_a_class_with_few_images_keeps_half_of_them_to_train_with():
    targets = np.array([2] * 5 + [0] * 40 + [1] * 40)
    train_on, held = kept_apart(first=2, share=0.2)
    assert np.bincount(targets[held(targets)]).tolist() == [2, 2, 2]
    assert np.bincount(targets[train_on(targets)]).tolist() == [38, 38, 3]


def test_a_correction_is_as_fine_in_half_precision():
    correction = Correction()
    with torch.no_grad():
        correction.alpha.fill_(1.003)
    corrected = correction(torch.ones(2, dtype=torch.bfloat16))
    torch.testing.assert_close(corrected, torch.full((2,), 1.003))


def test_with_a_budget_the_error_names_the_budget():
    with pytest.raises(ConfigError, match=r"^memory.total_mb: \d exemplars of each of 8 old classes leave none"):
        plan(["method=bic", "memory.total_mb=0.31"])


def test_in_the_setting_of_the_reference():
    """CIFAR-100 with 5 classes a task and 200 exemplars: 40, 20 and 13 of a class."""
    held = []
    for known, kept in ((5, 40), (10, 20), (15, 13)):
        targets = np.repeat(np.arange(known + 5), [*[kept] * known, *[100] * 5])
        held.append(len(kept_apart(known, 0.1)[1](targets)))
    assert held == [40, 30, 20]


def test_too_few_images_to_hold_one_out_are_told_before_training():
    with pytest.raises(DataError, match="task 2: no image is left for phase 2 of 2 of the method; a class has too few"):
        make_trainer("method=bic", "memory.size=80", "dataset.max_train_per_class=9")


NOTHING = (
    " exemplars of each of 8 old classes leave none to hold out with method.holdout=0.1; valid: 10 of each and more"
)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["memory.size=50"], f"memory.size: 6{NOTHING}"),
        (["memory.size=0"], f"memory.size: 0{NOTHING}"),
        (["memory.size=90", "memory.policy=fixed"], f"memory.size: 9{NOTHING}"),
        (["method.holdout=0"], "method.holdout: 0 is out of range; must lie in (0, 0.5]"),
    ],
)
def test_a_memory_that_is_too_small_is_one_line(arguments, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        plan(["method=bic", *arguments])


def test_phases():
    trainer = make_trainer("method=bic", "memory.size=80")
    first, second, _ = trainer.tasks
    (only,) = trainer.method.phases(first)
    assert only.select is None
    main, correct = trainer.method.phases(second)
    assert (main.epochs, main.lr, main.milestones) == (correct.epochs, correct.lr, correct.milestones)
    assert (main.weight_decay, correct.weight_decay) == (trainer.config.optimizer.inc_weight_decay, 0)


def test_a_correction_is_applied_to_its_own_task_only():
    method = begun("bic", 3, 2)
    images, _ = batch(4, 0, 5)
    method.network.eval()
    plain = method.predict(images).logits
    with torch.no_grad():
        method.network.corrections[1].alpha.fill_(0.5)
        method.network.corrections[1].beta.fill_(-2)
    corrected = method.predict(images).logits
    assert torch.equal(corrected[:, :3], plain[:, :3])
    torch.testing.assert_close(corrected[:, 3:], 0.5 * plain[:, 3:] - 2)


def test_the_second_phase_trains_the_newest_correction_and_nothing_else():
    method = begun("bic", 3, 2)
    before = copied(method)
    images, targets = batch(6, 0, 5)
    step(method, images, targets)
    assert not any(name.startswith("corrections.") for name in moved(before, method))
    method.begin_phase(1)
    with torch.no_grad():
        method.network.corrections[1].alpha.fill_(0.5)
        method.network.corrections[1].beta.fill_(-2)
    before = copied(method)
    outputs = method.network(images)
    plain = [outputs.features @ head.weight.T + head.bias for head in method.network.heads]
    output = method.loss(outputs, targets)
    torch.testing.assert_close(output.total, cross_entropy(torch.cat([plain[0], 0.5 * plain[1] - 2], 1), targets))
    assert list(output.terms) == ["cls"]
    step(method, images, targets)
    assert moved(before, method) == {"corrections.1.alpha", "corrections.1.beta"}


def test_old_corrections_stay_and_act_in_the_next_task():
    trainer = train("method=bic", "memory.size=80")
    final = weights(trainer)
    assert final["corrections.0.alpha"] == 1 and final["corrections.0.beta"] == 0
    assert final["corrections.1.alpha"] != 1 and final["corrections.2.beta"] != 0
    assert torch.equal(final["teacher.corrections.1.alpha"], final["corrections.1.alpha"])
    # Two phases of two epochs from task 2 on.
    assert [r["epoch"] for r in trainer.observer.epochs] == [1, 2, 3, 1, 2, 3, 4, 1, 2, 3, 4]
