"""How the runs of a sweep are called: by the settings that differ among them and have a part in their training."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cil.config.names import show
from cil.config.typed import flat
from cil.config.usage import trains
from cil.planning.plan import Job

LONGEST = 120
"""Characters of a name; file systems allow 255 bytes."""


@dataclass(frozen=True)
class Labelled:
    """What a run's label is made from."""

    id: str
    overrides: Sequence[str]
    """KEY=VALUE and GROUP=OPTION, as they lead to the run."""
    effective: dict[str, Any]
    """Its configuration."""

    @staticmethod
    def of(job: Job) -> "Labelled":
        """A job's."""
        return Labelled(job.run_id, job.overrides, job.effective)


def labels(runs: Sequence[Labelled]) -> list[list[str]]:
    """For each run its KEY=VALUE that differ among the runs: chosen options, then single keys, the seed last.

    A run leaves out what it does not train with: InfoNCE the margin that its statistics are measured at. The label of
    a run without any others is empty.
    """
    written = [dict(_split(text) for text in run.overrides) for run in runs]
    values = [flat(run.effective) for run in runs]
    keys = list(dict.fromkeys(key for own in written for key in own))
    shown = {key: [_shown(key, own, value) for own, value in zip(written, values, strict=True)] for key in keys}
    varying = [key for key, found in shown.items() if _varies(key, found, values)]
    varying.sort(key=lambda key: (key == "seed", any(key in own for own in values)))
    return [[f"{key}={shown[key][i]}" for key in varying if shown[key][i] is not None] for i in range(len(runs))]


def lines(jobs: Sequence[Job]) -> list[str]:
    """The label of each job as a line of text; of one alone, or one that nothing tells apart, all its overrides."""
    found = labels([Labelled.of(job) for job in jobs])
    return [" ".join(label or job.overrides) or "-" for label, job in zip(found, jobs, strict=True)]


def common(overrides: Sequence[Sequence[str]]) -> list[str]:
    """Overrides of every job of a sweep of several."""
    return [text for text in overrides[0] if all(text in own for own in overrides)] if len(overrides) > 1 else []


def names(runs: Sequence[Labelled]) -> list[str]:
    """For each run a name of its own that any file system takes: its label, `loss=infonce,seed=1`."""
    texts = [_file_name(",".join(label)) or run.id for label, run in zip(labels(runs), runs, strict=True)]
    return [
        text if texts.count(text) == 1 else f"{text},id={run.id[:6]}" for text, run in zip(texts, runs, strict=True)
    ]


def _split(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key.lstrip("+~"), value.strip("'\"")


def _shown(key: str, written: Mapping[str, str], values: Mapping[str, Any]) -> str | None:
    """The value of a key as the run has it, or the chosen option of a group; None where it has no part in the run."""
    if key in values:
        return show(values[key]) if trains(values, key) else None
    if f"{key}.name" in values and not trains(values, f"{key}.name"):
        return None
    return written.get(key) or values.get(f"{key}.name")


def _varies(key: str, found: Sequence[str | None], values: Sequence[Mapping[str, Any]]) -> bool:
    """Whether runs differ in the key: where a key is not used, another one is the reason."""
    used = set(found) - {None} if any(key in own or f"{key}.name" in own for own in values) else set(found)
    return len(used) > 1


def _file_name(text: str) -> str:
    """The text with a `_` for each character that is odd in a file's name, cut where it is too long."""
    clean = re.sub(r"[^\w.,=+\-\[\]]", "_", text.replace(" ", ""))
    return clean if len(clean) <= LONGEST else f"{clean[: LONGEST - 1]}~"
