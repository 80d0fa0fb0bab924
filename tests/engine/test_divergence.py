import pytest
import torch

from cil.engine.divergence import Diverged, DivergenceGuard, Place, gradient_norm


def values(loss: float, norm: float = 1.0) -> dict[str, torch.Tensor]:
    return {"loss/cls": torch.tensor(loss), "gradient norm": torch.tensor(norm)}


@pytest.mark.parametrize("every", [1, 2, 7, 20])
@pytest.mark.parametrize("bad_step", [1, 5, 30])
def test_a_bad_step_is_seen_at_most_every_steps_late(every, bad_step):
    guard = DivergenceGuard(every)
    step = 0
    with pytest.raises(Diverged) as error:  # noqa: PT012 - which step raises is the question
        for step in range(1, 100):
            guard.watch(Place(1, 2, step), values(float("nan") if step >= bad_step else 1.0))
    assert error.value.place == Place(1, 2, bad_step), "the first bad step is the one that is named"
    assert step - bad_step <= every


def test_the_message_names_the_place_the_culprit_and_every_value():
    guard = DivergenceGuard(1)
    guard.watch(Place(3, 4, 5), values(2.5, float("inf")))
    with pytest.raises(Diverged, match=r"task 3, epoch 4, step 5: gradient norm not finite \(loss/cls=2.5, gradient"):
        guard.flush()


def test_flush_looks_at_everything_and_finite_values_pass():
    guard = DivergenceGuard(1000)
    guard.watch(Place(1, 1, 1), values(1.0))
    guard.flush()
    guard.watch(Place(1, 1, 2), values(float("inf")))
    with pytest.raises(Diverged):
        guard.flush()


def test_gradient_norm_is_over_all_gradients():
    parameters = [torch.nn.Parameter(torch.zeros(n)) for n in (2, 3, 4)]
    parameters[0].grad, parameters[1].grad = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0, 0.0])
    assert gradient_norm(parameters).item() == pytest.approx(5)
