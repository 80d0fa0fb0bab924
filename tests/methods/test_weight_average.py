"""The teacher as the mean of the last epochs' weights."""

import copy

import pytest
import torch

from cil.methods.weight_average import WeightAverage
from tests.engine.test_loop import assert_equal_weights, make_trainer, train, untimed


def module(seed: int) -> torch.nn.Sequential:
    torch.manual_seed(seed)
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    net[1].num_batches_tracked.fill_(seed)
    return net


def test_the_mean_of_the_last_epochs_and_the_counter_of_the_last():
    average, nets = WeightAverage(2), [module(seed) for seed in range(4)]
    for epoch, net in enumerate(nets):
        average.begin_epoch(epoch, len(nets))
        average.add(net.state_dict())

    target = copy.deepcopy(nets[-1])
    average.replace(target)

    expected = (nets[2][0].weight.double() + nets[3][0].weight.double()) / 2
    assert torch.equal(target[0].weight, expected.float())
    assert target[1].num_batches_tracked == 3


def test_fewer_epochs_than_asked_for_are_all_of_them():
    average, nets = WeightAverage(5), [module(seed) for seed in range(3)]
    for epoch, net in enumerate(nets):
        average.begin_epoch(epoch, len(nets))
        average.add(net.state_dict())
    target = copy.deepcopy(nets[-1])
    average.replace(target)
    torch.testing.assert_close(target[0].bias, torch.stack([net[0].bias for net in nets]).mean(dim=0))


def test_equal_weights_have_exactly_themselves_as_mean():
    average, net = WeightAverage(3), module(1)
    for epoch in range(7):
        average.begin_epoch(epoch, 7)
        average.add(net.state_dict())
    target = module(2)
    average.replace(target)
    assert all(torch.equal(a, b) for a, b in zip(target.state_dict().values(), net.state_dict().values(), strict=True))


def test_a_state_that_was_taken_stays_as_it_is():
    average, net = WeightAverage(2), module(1)
    average.begin_epoch(1, 3)
    average.add(net.state_dict())
    before = average.state_dict()
    kept = copy.deepcopy(before)
    average.begin_epoch(2, 3)
    average.add(module(2).state_dict())
    assert before["average"]["count"] == kept["average"]["count"] == 1
    assert torch.equal(before["average"]["sums"]["0.weight"], kept["average"]["sums"]["0.weight"])


def test_one_epoch_is_the_same_as_off():
    off, on = train(), train("teacher.average_last=1")
    assert_equal_weights(off, on)
    assert [untimed(r) for r in off.observer.epochs] == [untimed(r) for r in on.observer.epochs]
    assert "average" not in on.method.state_dict()


def test_the_teacher_of_task_2_is_the_mean_and_the_net_goes_on_from_the_last_epoch():
    trainer, taught = make_trainer("teacher.average_last=2"), []
    end_epoch = trainer.method.end_epoch

    def remember(means):
        taught.append({name: tensor.clone() for name, tensor in trainer.method.network.taught().items()})
        end_epoch(means)

    trainer.method.end_epoch = remember
    trainer.tasks = trainer.tasks[:1]
    trainer.run()
    live = {name: tensor.clone() for name, tensor in trainer.method.network.taught().items()}
    trainer.begin_task(trainer.data.stream.tasks[1])

    teacher = trainer.method.network.teacher.state_dict()
    for name, tensor in teacher.items():
        if tensor.is_floating_point():
            expected = (taught[1][name].double() + taught[2][name].double()) / 2
            assert torch.equal(tensor, expected.float()), name
        else:
            assert tensor == taught[2][name]
    assert all(torch.equal(tensor, live[name]) for name, tensor in trainer.method.network.taught().items())
    assert not any(parameter.requires_grad for parameter in trainer.method.network.teacher.parameters())


@pytest.mark.parametrize("last", [2, 10])
def test_it_changes_later_tasks_only(last: int):
    off, on = train(), train(f"teacher.average_last={last}")
    first = [untimed(r) for r in off.observer.epochs if r["task"] == 1]
    assert first == [untimed(r) for r in on.observer.epochs if r["task"] == 1]
    assert [r["loss/distill"] for r in off.observer.epochs[3:]] != [r["loss/distill"] for r in on.observer.epochs[3:]]
