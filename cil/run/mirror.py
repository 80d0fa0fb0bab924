"""metrics.jsonl mirrored to a tracker (`tracking.mirror`): record by record, as they are written.

The tracker's library runs in a thread of its own. Whether it fails, hangs or is slow, the run goes on: the files of its
folder are what counts, and a continued run sends what the tracker lacks.
"""

import json
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cil.config.typed import flat
from cil.files import write_atomically
from cil.planning.plan import Job
from cil.records.folder import RunFolder
from cil.records.trackers import TRACKERS, About, Record, Tracker
from cil.run.signals import Interrupted

PATIENCE = {"finished": 60.0, "interrupted": 5.0, "failed": 5.0}
"""Seconds that the end of a run waits for its last records to be sent."""


class Mirror:
    """Sends the records of one run.

    `path` (mirror.json) keeps which run of the tracker it is, and how many records that has: a continued run goes on
    there, with the first record that is missing.
    """

    def __init__(self, name: str, tracker: Tracker, about: About, path: Path, say: Callable[[str], None]) -> None:
        self._name = name
        self._tracker = tracker
        self._about = about
        self._path = path
        self._say = say
        noted = _noted(path, name)
        self._run: str | None = noted.get("run")
        self._sent = self._queued = int(noted.get("records", 0))
        self._waiting: queue.SimpleQueue[Record | str] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._problem: BaseException | None = None
        self._off = False

    def follow(self, records: Sequence[Record]) -> None:
        """Send what is new of all the run's records so far. Returns at once."""
        self._tell()
        for record in records[self._queued :]:
            self._waiting.put(record)
        self._queued = max(self._queued, len(records))
        if self._thread is None and not self._waiting.empty():
            # A daemon: a library that hangs must not keep the process.
            self._thread = threading.Thread(target=self._work, name="mirror", daemon=True)
            self._thread.start()

    def close(self, state: str) -> None:
        """The run is finished, interrupted or failed: send what is left, if the tracker takes it in time."""
        if self._thread is not None and not self._off:
            self._waiting.put(state)
            self._thread.join(PATIENCE[state])
            if self._thread.is_alive():
                self._problem = TimeoutError(f"no answer for {PATIENCE[state]:g} seconds")
        self._tell()

    def _work(self) -> None:
        try:
            self._run = self._tracker.begin(self._about, self._run)
            self._note()
            while isinstance(item := self._waiting.get(), dict):
                self._tracker.log(item)
                self._sent += 1
                self._note()
            self._tracker.end(item)
        except BaseException as error:  # whatever a library raises, SystemExit included
            self._problem = error

    def _note(self) -> None:
        content = {"tracker": self._name, "run": self._run, "records": self._sent}
        with suppress(OSError):  # a full disk: some records will be sent twice
            write_atomically(self._path, json.dumps(content) + "\n", durable=False)

    def _tell(self) -> None:
        if self._problem is None or self._off:
            return
        self._off = True
        lines = str(self._problem).strip().splitlines() or [type(self._problem).__name__]
        self._say(
            f"tracking.mirror={self._name}: {lines[0]}; the run goes on without it; metrics.jsonl has everything, "
            "and a continued run sends what is missing"
        )


def _noted(path: Path, name: str) -> dict[str, Any]:
    """What mirror.json says; nothing where it is lost, damaged, or of another tracker."""
    try:
        content = json.loads(path.read_text())
        same = content["tracker"] == name and isinstance(content["run"], str) and isinstance(content["records"], int)
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return content if same else {}


@contextmanager
def mirrored(job: Job, folder: RunFolder, say: Callable[[str], None]) -> Iterator[Mirror | None]:
    """The mirror of a run, None if it has none; closed with how the run ended."""
    chosen = job.config.tracking.mirror
    if chosen is None:
        yield None
        return
    name = "/".join(folder.path.resolve().parts[-2:])
    settings = {key: value for key, value in flat(job.effective).items() if key not in ("tags", "notes")}
    about = About(name, job.config.name, settings, job.config.tags, job.config.notes)
    mirror = Mirror(chosen.name, TRACKERS[chosen.name](), about, folder.path / "mirror.json", say)
    state = "failed"
    try:
        yield mirror
        state = "finished"
    except Interrupted:
        state = "interrupted"
        raise
    finally:
        mirror.close(state)
