"""Out of memory: one line that says in which task, and what helps."""

import logging

import torch

from cil.config.schema import RunConfig
from cil.engine.loop import Trainer
from cil.run.forecast import what_helps

logger = logging.getLogger("cil")
_CPU = "DefaultCPUAllocator: "


class OutOfMemory(Exception):
    """The device's memory did not suffice. The message is one line; `where` has task, epoch and step (from 1)."""

    def __init__(self, message: str, where: dict[str, int]) -> None:
        super().__init__(message)
        self.where = where
        self.split_into: int | None = None
        """Into how many micro-batches the run may split its batches when it is continued."""


def run_explained(trainer: Trainer, config: RunConfig) -> None:
    """Trainer.run, with OutOfMemory in place of what PyTorch raises."""
    try:
        trainer.run()
        return
    except torch.OutOfMemoryError as error:
        reason = _reason(error)
    except RuntimeError as error:
        if _CPU not in str(error):
            raise
        reason = _reason(error)
    # Raised out here, without the error caught above: its traceback keeps alive what fills the memory.
    where = {"task": trainer.finished_tasks + 1, "epoch": trainer.epoch + 1, "step": trainer.step}
    place = f"task {where['task']} of {len(trainer.tasks)}, epoch {where['epoch']}, step {where['step']}"
    helps = what_helps(config, trainer.device.type)
    if trainer.evaluating:
        place = f"the evaluation after task {where['task']} of {len(trainer.tasks)}"
        helps = f"a smaller trainer.eval_batch_size (now {config.trainer.eval_batch_size})"
    raise OutOfMemory(f"out of memory in {place}: {reason} What helps: {helps}", where)


def _reason(error: Exception) -> str:
    """The first sentence of the message."""
    logger.error("out of memory", exc_info=error)
    sentence = " ".join(str(error).split()).partition(". ")[0]
    return f"{sentence.rstrip('.')}."
