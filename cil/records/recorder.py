"""metrics.jsonl and TensorBoard: both are written from the same records."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cil.files import write_atomically
from cil.records.folder import plain
from cil.records.tensorboard import Events

Record = dict[str, Any]
logger = logging.getLogger("cil")


def _line(record: Record) -> str:
    """A record as it stands in metrics.jsonl: without the numbers that only figures are drawn from."""
    return json.dumps({key: value for key, value in record.items() if key != "figures"}) + "\n"


class Recorder:
    """Writes records to metrics.jsonl and, if wanted, to one TensorBoard event folder.

    A record has `kind` (epoch or task), `task` (from 1), `step` (epochs since the start of the run, or the
    task), figures under their TensorBoard tags, and facts under plain names. `figures` is what pictures are drawn
    from; it is not in metrics.jsonl.

    The records are the truth and the files follow: `records` of a checkpoint replace what was written after it,
    and where writing failed (a full disk) everything is written again with the next record.
    """

    def __init__(
        self,
        metrics: Path,
        tensorboard: Path | None,
        records: list[Record] | None = None,
        texts: Mapping[str, str] | None = None,
        follow: Callable[[Sequence[Record]], None] | None = None,
    ) -> None:
        self.records: list[Record] = list(records or [])
        self._metrics = metrics
        self._tensorboard = tensorboard
        self._texts = dict(texts or {})
        """What TensorBoard's Text tab shows, by tag."""
        self._events: Events | None = None
        self._settings: dict[str, Any] | None = None
        self._alone = True
        self._follow = follow or (lambda _records: None)
        """Told all records so far, each time that there may be new ones."""
        self._complete = self._rewrite()
        self._follow(self.records)

    def add(self, record: Record) -> None:
        """Write one record."""
        self.records.append(plain(record))
        self._complete = self._append(self.records[-1]) if self._complete else self._rewrite()
        self._follow(self.records)

    def summarise(self, effective: dict[str, Any], alone: bool = True) -> None:
        """The run is over: put its settings beside its last figures in TensorBoard's HPARAMS tab.

        alone: no sweep says which columns the tab has (cil/records/hparams.py).
        """
        self._settings, self._alone = effective, alone
        self._complete = self._complete and self._try(self._add_settings)

    def close(self) -> None:
        """Finish both files; a last try for what could not be written."""
        if not self._complete:
            self._complete = self._rewrite()
        self._close_events()

    def _append(self, record: Record) -> bool:
        def write() -> None:
            with self._metrics.open("a") as file:
                file.write(_line(record))
            if self._events is not None:
                self._events.add(self.records, len(self.records) - 1)
                self._events.flush()

        return self._try(write)

    def _rewrite(self) -> bool:
        """Both files anew from the records."""

        def write() -> None:
            write_atomically(self._metrics, "".join(map(_line, self.records)))
            if self._tensorboard is None:
                return
            self._close_events()
            self._events = Events(self._tensorboard)
            self._events.add_texts(self._texts)
            for index in range(len(self.records)):
                self._events.add(self.records, index)
            self._add_settings()
            self._events.replace_earlier()

        return self._try(write)

    def _add_settings(self) -> None:
        if self._events is not None and self._settings is not None:
            self._events.add_hparams(self._settings, self.records, self._alone)
            self._events.flush()

    def _try(self, write: Callable[[], None]) -> bool:
        """Whether `write` worked."""
        try:
            write()
        except OSError as error:
            logger.warning("cannot write metrics (kept in memory, tried again later): %s", error)
            return False
        return True

    def _close_events(self) -> None:
        if self._events is not None:
            events, self._events = self._events, None
            try:
                events.close()
            except OSError as error:
                logger.warning("cannot close the TensorBoard events: %s", error)
