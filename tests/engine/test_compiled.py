"""trainer.compile: what runs compiled, and that compilations are counted."""

import logging

import pytest
import torch

from cil.config.schema import TrainerConfig
from cil.engine.compiled import Compiler
from tests.engine.test_loop import assert_equal_weights, make_trainer, train, weights

ONE_TASK = ("trainer.max_tasks=1", "trainer.init_epochs=2", "trainer.batch_size=10")
"""24 images: two full batches an epoch, and one of four images."""


@pytest.fixture
def shapes(monkeypatch):
    """Compiles to what is there, and notes the shape of each compiled call's images."""
    seen = []

    def backend(module, example_inputs):
        def call(*inputs):
            seen.append(max((tuple(x.shape) for x in inputs if x.dim() == 4 and x.shape[1] == 3), default=None))
            return module(*inputs)

        return call

    monkeypatch.setattr(Compiler, "backend", staticmethod(backend))
    yield seen
    torch.compiler.reset()


def test_full_batches_alone_are_compiled(shapes):
    trainer = train(*ONE_TASK, "trainer.compile=true", "trainer.eval_every=1")
    assert len(trainer.observer.steps) == 6
    assert shapes == [(20, 3, 8, 8)] * 8  # two networks in four full batches; nothing of the evaluations
    assert 1 <= trainer.observer.tasks[0]["time/compiled_graphs"] <= 2


def test_compiling_to_the_same_operations_changes_nothing(shapes):
    assert_equal_weights(train("trainer.compile=true", "trainer.max_tasks=2"), train("trainer.max_tasks=2"))
    assert shapes


def test_a_run_without_it_says_nothing_of_it():
    trainer = train(*ONE_TASK)
    assert "time/compiled_graphs" not in trainer.observer.tasks[0]
    assert trainer.stepper.compiler.graphs == 0


def test_many_compilations_are_told(shapes, monkeypatch, caplog):
    monkeypatch.setattr("cil.engine.compiled.MANY", 0)
    with caplog.at_level(logging.WARNING, "cil"):
        train(*ONE_TASK, "trainer.compile=true")
    assert "trainer.compile: " in caplog.text and "graphs were compiled in task 1" in caplog.text


def test_phases_of_a_task_are_counted_together(shapes):
    compiler = Compiler(TrainerConfig(compile=True, batch_size=4))
    compiler.begin_task()
    for _ in range(2):
        layer = torch.nn.Linear(3, 2)
        compiler.begin_phase(layer, [layer])
        with compiler.batch(4):
            layer(torch.ones(4, 3))
        with compiler.batch(3):
            layer(torch.ones(3, 3))
    assert compiler.graphs == 2
    compiler.begin_task()
    assert compiler.graphs == 0


def test_channels_last_is_the_same_function_in_another_order():
    usual, other = train("trainer.max_tasks=2"), train("trainer.max_tasks=2", "trainer.channels_last=true")
    a, b = (trainer.observer.epochs[0]["loss/total"] for trainer in (usual, other))
    assert abs(a - b) < 1e-3 * abs(a)
    for name, weight in weights(other).items():
        if weight.dim() == 4:
            assert weight.is_contiguous(memory_format=torch.channels_last), name


def test_cuda_graphs_without_cuda_are_told(caplog):
    with caplog.at_level(logging.WARNING, "cil"):
        make_trainer("trainer.cuda_graph_frozen=true")
    assert caplog.messages == ["trainer.cuda_graph_frozen: has no effect on a cpu"]


def test_a_part_that_is_no_longer_trained_is_no_longer_compiled():
    compiler = Compiler(TrainerConfig(compile=True, batch_size=4))
    old, new = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    both = torch.nn.Sequential(old, new)
    compiler.begin_phase(both, [old])
    assert old._compiled_call_impl is not None
    compiler.begin_phase(both, [new])
    assert old._compiled_call_impl is None
    assert new._compiled_call_impl is not None
