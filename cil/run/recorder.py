"""metrics.jsonl and TensorBoard: both are written from the same records."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

from cil.run.folder import plain, write_atomically

Record = dict[str, Any]
logger = logging.getLogger("cil")


def scalars(record: Record) -> dict[str, float]:
    """The TensorBoard scalars of a record: every measured number whose key is a tag."""
    tags = {key: value for key, value in record.items() if "/" in key or key == "lr"}
    return {tag: value for tag, value in plain(tags).items() if isinstance(value, int | float)}


class Recorder:
    """Writes records to metrics.jsonl and, if wanted, to one TensorBoard event folder.

    A record has `kind` (epoch or task), `task` (from 1), `step` (epochs since the start of the run, or the
    task), figures under their TensorBoard tags, and facts under plain names.

    The records are the truth and the files follow: `records` of a checkpoint replace what was written after it,
    and where writing failed (a full disk) everything is written again with the next record.
    """

    def __init__(self, metrics: Path, tensorboard: Path | None, records: list[Record] | None = None) -> None:
        self.records: list[Record] = list(records or [])
        self._metrics = metrics
        self._tensorboard = tensorboard
        self._writer: Any = None
        self._complete = self._rewrite()

    def add(self, record: Record) -> None:
        """Write one record."""
        self.records.append(plain(record))
        self._complete = self._append(self.records[-1]) if self._complete else self._rewrite()

    def close(self) -> None:
        """Finish both files; a last try for what could not be written."""
        if not self._complete:
            self._complete = self._rewrite()
        self._close_writer()

    def _append(self, record: Record) -> bool:
        try:
            with self._metrics.open("a") as file:
                file.write(json.dumps(record) + "\n")
            if self._writer is not None:
                self._add_scalars(record)
                self._writer.flush()
        except OSError as error:
            logger.warning("cannot write metrics (kept in memory, tried again later): %s", error)
            return False
        return True

    def _rewrite(self) -> bool:
        """Both files anew from the records."""
        try:
            write_atomically(self._metrics, "".join(json.dumps(record) + "\n" for record in self.records))
            if self._tensorboard is not None:
                self._close_writer()
                shutil.rmtree(self._tensorboard, ignore_errors=True)
                self._writer = _event_writer(self._tensorboard)
                for record in self.records:
                    self._add_scalars(record)
                self._writer.flush()
        except OSError as error:
            logger.warning("cannot write metrics (kept in memory, tried again later): %s", error)
            return False
        return True

    def _add_scalars(self, record: Record) -> None:
        for tag, value in scalars(record).items():
            self._writer.add_scalar(tag, value, record["step"])

    def _close_writer(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            try:
                writer.close()
            except OSError as error:
                logger.warning("cannot close the TensorBoard events: %s", error)


def _event_writer(folder: Path) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), max_queue=1000, flush_secs=30)
