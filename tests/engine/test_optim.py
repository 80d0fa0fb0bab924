import pytest
import torch

from cil.engine.optim import make_optimizer
from cil.methods.phases import Phase


@pytest.mark.parametrize("fused", [False, True])
def test_steps_follow_the_definition_of_sgd(fused):
    parameter = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimizer = make_optimizer([parameter], Phase(epochs=1, lr=0.1, weight_decay=0.01), momentum=0.9)
    for group in optimizer.param_groups:
        group["fused"] = fused
    value, momentum = parameter.detach().clone(), torch.zeros(2, dtype=torch.float64)
    for step in range(3):
        gradient = torch.tensor([step + 1.0, 0.5], dtype=torch.float64)
        parameter.grad = gradient.clone()
        optimizer.step()
        momentum = 0.9 * momentum + gradient + 0.01 * value
        value = value - 0.1 * momentum
        torch.testing.assert_close(parameter.detach(), value)


def test_a_first_step_that_the_scaler_skips_leaves_no_trace():
    parameter = torch.nn.Parameter(torch.ones(1000))
    optimizer = make_optimizer([parameter], Phase(epochs=1, lr=0.1, weight_decay=0.0), momentum=0.9)
    for group in optimizer.param_groups:
        group["fused"] = True
    optimizer.found_inf, optimizer.grad_scale = torch.tensor(1.0), torch.tensor(1.0)
    parameter.grad = torch.full_like(parameter, torch.inf)
    optimizer.step()
    optimizer.found_inf = torch.tensor(0.0)
    parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert torch.equal(parameter.detach(), torch.ones(1000))


def test_frozen_parameters_are_left_out():
    frozen, trained = torch.nn.Parameter(torch.ones(1), requires_grad=False), torch.nn.Parameter(torch.ones(1))
    (group,) = make_optimizer([frozen, trained], Phase(epochs=1, lr=0.1, weight_decay=2e-4), momentum=0.9).param_groups
    assert group["params"] == [trained]
    assert group["weight_decay"] == 2e-4
