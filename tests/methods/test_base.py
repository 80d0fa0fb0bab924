"""The method contract: defaults, and a step output in which nothing can disagree."""

from dataclasses import dataclass

import pytest
import torch

from cil.config.schema import RunConfig
from cil.losses.base import Stat
from cil.methods.base import Method, Prediction, StepOutput, Term, classified, cross_entropy_step


def test_total_terms_and_parts_come_from_the_same_terms():
    a, b, c = (torch.tensor(value, requires_grad=True) for value in (2.0, 3.0, 5.0))
    output = StepOutput({"cls": Term(1.0, a), "contrast": Term(0.5, b + c, {"nce": b, "ant": c})})
    assert output.total.item() == 2 + 0.5 * 8
    assert {name: value.item() for name, value in output.terms.items()} == {"cls": 2, "contrast": 8}
    assert not any(value.requires_grad for value in output.terms.values())
    assert {name: (weight, value.item()) for name, (weight, value) in output.parts.items()} == {
        "nce": (0.5, 3), "ant": (0.5, 5), "cls": (1, 2)
    }  # fmt: skip
    assert sum(weight * value.item() for weight, value in output.parts.values()) == output.total.item()


@pytest.mark.parametrize("views", [1, 2])
def test_accuracy_counts_every_row_and_correct_the_first_view(views):
    logits = torch.eye(3)[[0, 1, 2, 1][: 2 * views]]
    targets = torch.tensor([0, 2])
    stats, correct = classified(logits, targets)
    assert correct.tolist() == [True, False]
    # Rows of the second view: 2 for a 0, and 1 for a 2.
    assert stats["train"]["top1"].value.item() == (50 if views == 1 else 25)
    assert stats["train"]["top1"].weight == 2 * views


def test_cross_entropy_over_some_of_the_classes():
    logits, targets = torch.tensor([[9.0, 1.0, 2.0]]), torch.tensor([2])
    output = cross_entropy_step(logits, targets, first=1)
    assert output.total.item() == pytest.approx(-torch.log_softmax(torch.tensor([1.0, 2.0]), 0)[1].item())
    assert not output.correct.item()  # judged over all classes


@dataclass(frozen=True)
class Scores:
    logits: torch.Tensor


class Net(torch.nn.Linear):
    def forward(self, images):
        return Scores(super().forward(images.flatten(1)))


class Minimal(Method):
    """All that a method has to write."""

    def begin_task(self, task):
        self.network = Net(12, task.known)

    def loss(self, outputs, targets):
        return cross_entropy_step(outputs.logits, targets)

    def predict(self, images):
        return Prediction({"classifier": self.network(images).logits}, images.flatten(1))


def test_a_minimal_method_has_a_default_for_everything_else():
    from cil.data.stream import Task

    method = Minimal(RunConfig())
    method.begin_task(Task(1, (0, 1), ("a", "b"), 0))
    method.begin_phase(0)
    method.begin_epoch(0, 1)
    images = torch.randn(4, 3, 2, 2)
    output = method.loss(method.network(images), torch.tensor([0, 1, 0, 1]))
    output.total.backward()
    method.end_epoch({"loss": {"total": 1.0}})
    method.end_task()
    assert (method.views, method.all_data, method.heads) == (1, False, ("classifier",))
    assert method.similarities(images) is None
    assert method.loss_weights() == {"cls": 1.0}
    assert [p.shape for p in method.shared_parameters()] == [(2, 12), (2,)]
    (phase,) = method.phases(Task(2, (2,), ("c",), 2))
    assert (phase.epochs, phase.weight_decay) == (170, 2e-4)
    other = Minimal(RunConfig())
    other.begin_task(Task(1, (0, 1), ("a", "b"), 0))
    other.load_state_dict(method.state_dict())
    assert torch.equal(other.predict(images).logits, method.predict(images).logits)


def test_statistics_keep_the_names_their_method_gave():
    output = StepOutput({"cls": Term(1.0, torch.tensor(1.0))}, {"contrast": {"gap": Stat(torch.tensor(0.5), 2)}})
    assert output.stats["contrast"]["gap"].value.item() == 0.5


def test_a_method_that_lacks_a_part_of_the_contract_cannot_be_made():
    class Half(Method):
        def begin_task(self, task):
            pass

    with pytest.raises(TypeError, match="loss"):
        Half(RunConfig())
