"""metrics.jsonl and TensorBoard: both are written from the same records."""

import json
from pathlib import Path
from typing import Any

from cil.run.folder import plain

Record = dict[str, Any]


def scalars(record: Record) -> dict[str, float]:
    """The TensorBoard scalars of a record: every measured number whose key is a tag."""
    tags = {key: value for key, value in record.items() if "/" in key or key == "lr"}
    return {tag: value for tag, value in plain(tags).items() if isinstance(value, int | float)}


class Recorder:
    """Appends records to metrics.jsonl and, if wanted, to one TensorBoard event folder.

    A record has `kind` (epoch or task), `task` (from 1), `step` (epochs since the start of the run, or the
    task), figures under their TensorBoard tags, and facts under plain names.
    """

    def __init__(self, metrics: Path, tensorboard: Path | None) -> None:
        self._file = metrics.open("a")
        self._writer: Any = None
        if tensorboard is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(tensorboard), max_queue=1000, flush_secs=30)

    def add(self, record: Record) -> None:
        """Write one record."""
        self._file.write(json.dumps(plain(record)) + "\n")
        self._file.flush()
        if self._writer is not None:
            for tag, value in scalars(record).items():
                self._writer.add_scalar(tag, value, record["step"])
            self._writer.flush()

    def close(self) -> None:
        """Close both."""
        self._file.close()
        if self._writer is not None:
            self._writer.close()
