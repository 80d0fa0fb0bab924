"""Jobs of a sweep that train alike: a loss that trains without a margin measures its statistics at one all the same.

Such jobs (`loss=infonce` with several `ant_margin`) keep their own identities, but one run serves them all: the one
that is there already, otherwise the one with the default margin, otherwise the first.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from cil.config.identity import run_id, training_id
from cil.config.names import show
from cil.config.presets import DEFAULT_MARGIN
from cil.config.typed import flat, plain
from cil.config.usage import trains
from cil.errors import ConfigError
from cil.planning.jobs import Job
from cil.planning.stored import stored_config

_YAML: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class _Stored:
    """A run that lies in the sweep's folder."""

    folder: Path
    margin: float
    finished: bool


def one_for_each_training(jobs: list[Job]) -> tuple[list[Job], list[str]]:
    """The jobs without those that train like another one, which are noted in that one's `copies`; a line for each.

    A job whose training lies in the sweep's folder with another probe margin takes that margin and that folder.
    """
    groups: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job.config.name, training_id(job.effective)), []).append(job)
    probed = [group for group in groups.values() if _is_probe(group[0].effective)]
    if not probed:
        return jobs, []
    stored = _stored_runs([job for group in probed for job in group])
    kept, lines = [], []
    for group in groups.values():
        if not _is_probe(group[0].effective):
            kept += group
            continue
        chosen = _chosen(group, stored)
        kept.append(chosen)
        margins = [job.config.ant_margin for job in group]
        if len(group) > 1 or chosen.config.ant_margin not in margins:
            lines.append(_line(chosen, margins))
    return kept, list(dict.fromkeys(lines))


def _is_probe(effective: dict[str, Any]) -> bool:
    """Whether `ant_margin` has a value with which nothing is trained."""
    return effective["ant_margin"] is not None and not trains(flat(effective), "ant_margin")


def _chosen(group: list[Job], stored: dict[tuple[Path, str], list[_Stored]]) -> Job:
    """The job that stands for a group of jobs that train alike."""
    there: list[_Stored] = []
    for place in dict.fromkeys(job.folder.parent for job in group if job.folder is not None):
        there += stored.get((place, training_id(group[0].effective)), [])
    margins = [job.config.ant_margin for job in group]

    def rank(margin: float | None) -> tuple[bool, bool]:
        return margin not in margins, margin != DEFAULT_MARGIN

    # Of runs that are there, a finished one, then one with a margin that is asked for; `min` takes the first of equals.
    found = min(there, key=lambda run: (not run.finished, *rank(run.margin)), default=None)
    if found is None:
        chosen = min(group, key=lambda job: rank(job.config.ant_margin))
    else:
        like = next((job for job in group if job.config.ant_margin == found.margin), group[0])
        chosen = replace(_with_margin(like, found.margin), folder=found.folder)
    others = [job for job in group if job.config.ant_margin != chosen.config.ant_margin]
    return replace(chosen, copies=[*chosen.copies, *(o for job in others for o in (job.overrides, *job.copies))])


def _with_margin(job: Job, margin: float) -> Job:
    """The same job with its statistics measured at another margin."""
    if job.config.ant_margin == margin:
        return job
    config = replace(job.config, ant_margin=margin)
    values = plain(config)

    def rewritten(texts: list[str]) -> list[str]:
        named = [text.partition("=")[0].lstrip("+") == "ant_margin" for text in texts]
        changed = [
            f"{text.partition('=')[0]}={margin!r}" if own else text for text, own in zip(texts, named, strict=True)
        ]
        return changed if any(named) else [*changed, f"ant_margin={margin!r}"]

    spelled = rewritten(job.spelled) if job.spelled else []
    return replace(
        job,
        config=config,
        effective=values,
        run_id=run_id(values),
        overrides=rewritten(job.overrides),
        spelled=spelled,
        copies=[],
    )


def _stored_runs(jobs: list[Job]) -> dict[tuple[Path, str], list[_Stored]]:
    """(Folder of a sweep, training) -> the runs with a probe margin that lie there, of the seeds of these jobs."""
    seeds = {job.config.seed for job in jobs}
    found: dict[tuple[Path, str], list[_Stored]] = {}
    for place in dict.fromkeys(job.folder.parent for job in jobs if job.folder is not None):
        for path in sorted(place.glob("*/config.yaml")):
            effective = _probing(path, seeds)
            if effective is not None:
                run = _Stored(path.parent, effective["ant_margin"], (path.parent / "result.json").is_file())
                found.setdefault((place, training_id(effective)), []).append(run)
    return found


def _probing(path: Path, seeds: Collection[int]) -> dict[str, Any] | None:
    """The effective configuration of a run of one of these seeds that probes a margin; None for any other file."""
    try:
        config = yaml.load(path.read_text(), _YAML)  # noqa: S506  (a safe loader)
        # Most files are of other runs: what follows takes ten times as long.
        if config["seed"] in seeds and _is_probe(config):
            return stored_config("hydra.sweep.subdir", str(path.parent))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError, ConfigError):
        pass  # a damaged file is that job's own failure, told when it is its turn
    return None


def _line(job: Job, margins: list[float | None]) -> str:
    """What is merged, for the plan, the dry run and sweep.json; the same for every seed."""
    name, used = job.config.loss.name, job.config.ant_margin
    reason = f"loss={name}" if name == "infonce" else f"loss={name} with loss.ant_beta=0"
    asked = ", ".join(show(margin) for margin in margins)
    where = "" if used in margins else ", the margin of the run that is there"
    runs = "are one run" if len(margins) > 1 else "is one run with any other"
    return (
        f"{reason} trains without a margin: ant_margin={asked} {runs}, its statistics measured at {show(used)}{where}"
    )
