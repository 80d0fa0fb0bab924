"""The TensorBoard events of a run: one folder, one file, written from records."""

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cil.records.folder import plain
from cil.records.pictures import task_pictures

Record = dict[str, Any]


def scalars(record: Record) -> dict[str, float]:
    """The TensorBoard scalars of a record: every measured number whose key is a tag."""
    tags = {key: value for key, value in record.items() if "/" in key or key == "lr"}
    return {tag: value for tag, value in plain(tags).items() if isinstance(value, int | float)}


def _contrastive(prefix: str) -> dict[str, list[str]]:
    """Charts of the contrastive loss under a prefix: title -> patterns of tags."""

    def tags(*names: str) -> list[str]:
        return [f"^{prefix}/{name}$" for name in names]

    return {
        "Gap against margin (cosine)": tags("gap", "margin"),
        "Mean similarity of positives and negatives (cosine)": tags("pos_mean", "neg_mean"),
        "Violation rate (share of negatives)": tags("violation_rate", "kept_violation_rate"),
        "Hardest negative (cosine)": tags("hard_negative_similarity", "hard_gap"),
        "ANT above its floor": tags("ant_above_floor"),
        "Unweighted terms": tags("nce", "ant", "gap_loss"),
    }


LAYOUT = {
    "Contrastive loss, by epoch": _contrastive("contrast"),
    "Accuracy": {
        "All classes so far, by epoch (%)": [
            r"^(test|val)/(\w+_)?top1$",
            "^train/top1$",
        ],
        "All classes so far, by task (%)": [r"^task/(?!val_)([a-z]+_)?top1$", "^task/incremental_avg_top1$"],
        "Test images of each task, by task (%)": [r"^task/top1_task_\d+$"],
        "Forgetting, by task (%)": [r"^task/(\w+_)?forgetting_top1$"],
    },
    "Loss terms, by epoch (unweighted)": {
        "Total": ["^loss/total$"],
        "Classification": ["^loss/cls$", "^loss/aux$", "^loss/trans_cls$"],
        "Contrast and distillation": ["^loss/contrast$", "^loss/distill$"],
        "Transfer": ["^loss/transfer$", "^loss/transfer_active$"],
        "Learning rate": ["^lr$"],
    },
    "Contrastive distillation, by epoch": _contrastive("distill"),
    "Gradients of the loss terms (tracking.gradient_share_every)": {
        "Share of the norms": ["^grad/share_"],
        "Cosine between terms": ["^grad/cos_"],
    },
}
"""The Custom Scalars tab: category -> title of a chart -> patterns of the tags in it."""


_PREFIX = "events.out.tfevents."


def _begun(path: Path) -> int:
    """The time in an event file's name; 0 in one of another form."""
    text = path.name.removeprefix(_PREFIX).partition(".")[0]
    return int(text) if text.isdigit() else 0


class _EventFile:
    """Writes events at once. PyTorch's FileWriter leaves it to a thread, which dies of a full disk with a traceback.

    Every method raises OSError.
    """

    def __init__(self, folder: Path) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # type: ignore[import-untyped]
        from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]

        folder.mkdir(parents=True, exist_ok=True)
        self._earlier = earlier = sorted(folder.glob(f"{_PREFIX}*"))
        # Files are read in the order of their names.
        begun = max(int(time.time()), *(1 + _begun(path) for path in earlier)) if earlier else int(time.time())
        name = f"{_PREFIX}{begun:010d}.{socket.gethostname()}.{os.getpid()}"
        self._file = (folder / name).open("wb")
        self._records = RecordWriter(self._file)
        self._event = Event
        self._write(file_version="brain.Event:2")
        # Whoever has read the files before forgets what they said: everything is told again from here. In the first
        # file too: TensorBoard's slow loader takes the first start that it meets for no restart.
        self._write(session_log=SessionLog(status=SessionLog.START), step=0)

    def add_summary(self, summary: Any, step: int | None = None) -> None:
        self._write(summary=summary, step=step)

    def flush(self) -> None:
        self._file.flush()

    def replace_earlier(self) -> None:
        # The one before stays, empty: a viewer opens the file it reads by name at every reload, and one that is gone
        # holds it up for good.
        for path in self._earlier[:-1]:
            path.unlink(missing_ok=True)
        for path in self._earlier[-1:]:
            os.truncate(path, 0)

    def close(self) -> None:
        self._file.close()

    def _write(self, **content: Any) -> None:
        self._records.write(self._event(wall_time=time.time(), **content).SerializeToString())


class Events:
    """A new event file in `folder`, beside those there are until `replace_earlier` is called."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard.summary import custom_scalars

        self._writer = _EventFile(folder)
        charts = {group: {title: ["Multiline", tags] for title, tags in c.items()} for group, c in LAYOUT.items()}
        self._writer.add_summary(custom_scalars(charts))

    def add(self, records: list[Record], index: int) -> None:
        """The scalars and figures of `records[index]`; the records before it are history."""
        from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]

        record = records[index]
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars(record).items()]
        if values:
            # One event for all: an event each would double the size of the file.
            self._writer.add_summary(Summary(value=values), record["step"])
        for picture in task_pictures(records, index):
            image = Summary.Image(
                height=picture.height, width=picture.width, colorspace=4, encoded_image_string=picture.png
            )
            self._writer.add_summary(Summary(value=[Summary.Value(tag=picture.tag, image=image)]), picture.step)

    def add_texts(self, texts: Mapping[str, str]) -> None:
        """Texts by tag, for the Text tab. Raises OSError."""
        from torch.utils.tensorboard.summary import text as text_summary

        for tag, text in texts.items():
            self._writer.add_summary(text_summary(tag, text), 0)

    def add_hparams(self, effective: dict[str, Any], records: list[Record], alone: bool) -> None:
        """The run's settings, for the HPARAMS tab; `alone`: and which columns it has there.

        Not through SummaryWriter.add_hparams, which opens a second folder.
        """
        from cil.records import hparams

        if alone:
            self._writer.add_summary(hparams.columns_alone(effective, {tag for r in records for tag in scalars(r)}))
        for summary in hparams.session(effective):
            self._writer.add_summary(summary)

    def replace_earlier(self) -> None:
        """This file tells all that those before it did: they count no more. Raises OSError."""
        self._writer.flush()
        self._writer.replace_earlier()

    def flush(self) -> None:
        """Write out what is buffered. Raises OSError."""
        self._writer.flush()

    def close(self) -> None:
        """Raises OSError."""
        self._writer.close()


def write_summary(folder: Path, summary: Any) -> None:
    """An event file in `folder` with this summary alone. Raises OSError."""
    writer = _EventFile(folder)
    try:
        writer.add_summary(summary)
    finally:
        writer.close()
