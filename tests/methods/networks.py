"""Methods with a tiny network, and batches for them."""

import torch

from cil.config.schema import BackboneConfig, MemoryConfig, RunConfig, method_schema
from cil.data.stream import Task
from cil.methods import make_method
from cil.methods.base import Method


def config(name: str, **keys) -> RunConfig:
    return RunConfig(
        ant_margin=0.1,
        backbone=BackboneConfig(name="resnet8"),
        memory=MemoryConfig(size=40),
        method=method_schema(name)(name, **keys),
    )


def tasks(*sizes: int) -> list[Task]:
    firsts = [sum(sizes[:number]) for number in range(len(sizes))]
    return [
        Task(number, tuple(range(first, first + size)), ("x",) * size, first)
        for number, (first, size) in enumerate(zip(firsts, sizes, strict=True), 1)
    ]


def begun(name: str, *sizes: int, **keys) -> Method:
    """A method in the first phase of its last task; the phases of earlier tasks have been begun too."""
    method = make_method(config(name, **keys))
    stream = tasks(*sizes)
    for task in stream:
        method.begin_task(task)
        for number in range(len(method.phases(task)) if task is not stream[-1] else 1):
            method.begin_phase(number)
    method.network.train()
    return method


def batch(images: int, low: int, high: int) -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(3)
    return torch.randn(images, 3, 8, 8, generator=draws), torch.randint(low, high, (images,), generator=draws)


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Row by row, from the definition."""
    rows = [-torch.log_softmax(row, 0)[y] for row, y in zip(logits, targets, strict=True)]
    return torch.stack(rows).mean()


def soft_cross_entropy(logits: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """-mean_b sum_c shares_bc log softmax(logits_b)_c, term by term."""
    total = torch.zeros(())
    for row, share in zip(logits, shares, strict=True):
        scale = torch.logsumexp(row, 0)
        for z, q in zip(row, share, strict=True):
            total = total - q * (z - scale)
    return total / len(logits)


def step(method: Method, images: torch.Tensor, targets: torch.Tensor, decay: float = 0.1) -> None:
    trained = [p for p in method.network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1, momentum=0.9, weight_decay=decay)
    method.loss(method.network(images), targets).total.backward()
    optimizer.step()
    method.end_step()


def moved(before: dict[str, torch.Tensor], method: Method) -> set[str]:
    """Names of parameters and buffers that are not what they were."""
    after = method.network.state_dict()
    return {name for name in after if not torch.equal(after[name], before[name])}


def copied(method: Method) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in method.network.state_dict().items()}
