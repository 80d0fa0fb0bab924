"""Floating-point operations of a step's networks, counted on tensors without values: instant, on any machine."""

from collections.abc import Sequence

import torch
from torch.utils.flop_counter import FlopCounterMode

from cil.bench.subject import backward
from cil.config.schema import RunConfig
from cil.data.stream import Task
from cil.engine.model_size import WithoutDraws, begin_whole
from cil.methods import make_method


def network_flops(config: RunConfig, tasks: Sequence[Task], images: int) -> int:
    """Operations of a forward and a backward pass over `images` images, in the last of `tasks`.

    All networks of the method as its first phase trains them, frozen ones and both views included: convolutions and
    matrix products, two operations for each multiplication and addition. Losses and everything else do not count.
    """
    side = config.dataset.image_size
    with torch.random.fork_rng(devices=[]), torch.device("meta"), WithoutDraws():
        method = make_method(config)
        for task in tasks[:-1]:
            begin_whole(method, task)
        method.begin_task(tasks[-1])
        method.begin_phase(0)
        method.network.train()
        views = torch.empty(method.views * images, 3, side, side)
        with FlopCounterMode(display=False) as counter:
            backward(method.network(views))
    return int(counter.get_total_flops())
