"""What a method says it needs to predict is just that: all of it, and nothing else."""

import pytest
import torch
from torch import nn

from cil.config.methods import available_methods
from cil.engine.model_size import model_size, sizes_by_task
from tests.engine.test_loop import train

METHODS = available_methods()


@pytest.fixture(scope="module", params=METHODS)
def trained(request):
    """Through two tasks, so that teachers and the like are there."""
    return train(f"method={request.param}", "trainer.max_tasks=2", "trainer.init_epochs=1", "trainer.inc_epochs=1")


def scores(method) -> torch.Tensor:
    method.network.eval()
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return method.predict(images).logits


@torch.no_grad()
def test_each_tensor_of_it_matters_and_no_other_one(trained):
    method = trained.method
    deployed = nn.ModuleList(method.deployed())
    needed = {id(t) for t in (*deployed.parameters(), *deployed.buffers()) if t.is_floating_point()}
    before = scores(method)
    assert bool(before.isfinite().all())
    for name, tensor in (*method.network.named_parameters(), *method.network.named_buffers()):
        if not tensor.is_floating_point():
            continue
        kept = tensor.clone()
        tensor.fill_(float("nan"))
        after = scores(method)
        tensor.copy_(kept)
        assert torch.equal(before, after) == (id(tensor) not in needed), name


def test_its_size_is_known_beforehand_and_recorded(trained):
    records = trained.task_end.task_records
    told = sizes_by_task(trained.config, [task.size for task in trained.tasks])
    assert [(r["parameters"], r["model_bytes"]) for r in records] == [(size.parameters, size.bytes) for size in told]
    assert model_size(trained.method) == told[-1]
    assert [r["exemplar_bytes"] for r in records] == [r["exemplars"] * 3 * 8 * 8 for r in records]


def test_statistics_count_and_counters_do_not():
    class Small:
        def deployed(self):
            return [nn.BatchNorm1d(5), nn.Linear(2, 3)]

    size = model_size(Small())
    assert (size.parameters, size.bytes) == (10 + 9, 4 * (10 + 10 + 9))
