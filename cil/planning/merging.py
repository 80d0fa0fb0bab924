"""Jobs of a sweep that train alike: a loss without ANT measures ANT's statistics all the same, and those have settings.

Such jobs (`loss=infonce` with several `ant_margin`, or `loss.negatives`) keep their own identities, but one run serves
them all: the one that is there already, otherwise the one with the default settings, otherwise the first.
"""

import json
import re
from collections.abc import Collection
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cil.config.identity import PROBE_DEFAULTS, probes, run_id, training_id
from cil.config.names import show
from cil.config.typed import flat, typed
from cil.config.usage import put, why_not_trained
from cil.errors import ConfigError
from cil.files import read_yaml
from cil.planning.jobs import Job
from cil.planning.stored import stored_config

Probes = dict[str, Any]
"""What only the statistics are measured with, by key."""


@dataclass(frozen=True)
class _Stored:
    """A run that lies in the sweep's folder."""

    folder: Path
    probes: Probes
    finished: bool


def one_for_each_training(jobs: list[Job]) -> tuple[list[Job], list[str]]:
    """The jobs without those that train like another one, which are noted in that one's `copies`; a line for each.

    A job whose training lies in the sweep's folder with other settings of the statistics takes those and that folder.
    """
    groups: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job.config.name, training_id(job.effective)), []).append(job)
    probed = [group for group in groups.values() if probes(group[0].effective)]
    if not probed:
        return jobs, []
    stored = _stored_runs([job for group in probed for job in group])
    kept, lines = [], []
    for group in groups.values():
        if not probes(group[0].effective):
            kept += group
            continue
        chosen = _chosen(group, stored)
        kept.append(chosen)
        asked = [probes(job.effective) for job in group]
        if len(group) > 1 or probes(chosen.effective) not in asked:
            lines.append(_line(chosen, asked))
    return kept, list(dict.fromkeys(lines))


def _chosen(group: list[Job], stored: dict[tuple[Path, str], list[_Stored]]) -> Job:
    """The job that stands for a group of jobs that train alike."""
    there: list[_Stored] = []
    for place in dict.fromkeys(job.folder.parent for job in group if job.folder is not None):
        there += stored.get((place, training_id(group[0].effective)), [])
    asked = [probes(job.effective) for job in group]

    def rank(values: Probes) -> tuple[bool, int]:
        return values not in asked, sum(PROBE_DEFAULTS[key] != value for key, value in values.items())

    # Of runs that are there, a finished one, then one as it is asked for; `min` takes the first of equals.
    found = min(there, key=lambda run: (not run.finished, *rank(run.probes)), default=None)
    if found is None:
        chosen = min(group, key=lambda job: rank(probes(job.effective)))
    else:
        like = next((job for job in group if probes(job.effective) == found.probes), group[0])
        chosen = replace(_with_probes(like, found.probes), folder=found.folder)
    others = [job for job in group if probes(job.effective) != probes(chosen.effective)]
    return replace(chosen, copies=[*chosen.copies, *(o for job in others for o in (job.overrides, *job.copies))])


def _with_probes(job: Job, values: Probes) -> Job:
    """The same job with its statistics measured otherwise."""
    changed = {key: value for key, value in values.items() if probes(job.effective)[key] != value}
    if not changed:
        return job
    effective = deepcopy(job.effective)
    for key, value in changed.items():
        put(effective, key, value)
    return replace(
        job,
        config=typed(effective),
        effective=effective,
        run_id=run_id(effective),
        overrides=_rewritten(job.overrides, changed),
        spelled=_rewritten(job.spelled, changed) if job.spelled else [],
        copies=[],
    )


def _rewritten(texts: list[str], values: Probes) -> list[str]:
    """Overrides with the values of some keys replaced; a key that is not named is added."""
    written = {text.partition("=")[0].lstrip("+"): text for text in texts}
    changed = {
        key: f"{text.partition('=')[0]}={show(values[key])}" if key in values else text for key, text in written.items()
    }
    return list((changed | {key: f"{key}={show(v)}" for key, v in values.items() if key not in written}).values())


def _stored_runs(jobs: list[Job]) -> dict[tuple[Path, str], list[_Stored]]:
    """(Folder of a sweep, training) -> the runs with probes that lie there, of the seeds of these jobs."""
    seeds = {job.config.seed for job in jobs}
    found: dict[tuple[Path, str], list[_Stored]] = {}
    for place in dict.fromkeys(job.folder.parent for job in jobs if job.folder is not None):
        for path in sorted(place.glob("*/config.yaml")):
            effective = _probing(path, seeds)
            if effective is None:
                continue
            finished = (path.parent / "result.json").is_file()
            if _of_this_code(path.parent, effective, finished):
                run = _Stored(path.parent, probes(effective), finished)
                found.setdefault((place, training_id(effective)), []).append(run)
    return found


def _of_this_code(folder: Path, effective: dict[str, Any], finished: bool) -> bool:
    """Whether a run has the identity that its settings have today: parts of the program may have changed since."""
    identity = run_id(effective)
    if finished:
        try:
            return bool(json.loads((folder / "result.json").read_text())["config_id"] == identity)
        except (OSError, ValueError, KeyError, TypeError):
            return False  # that job's own failure, told when it is its turn
    # A folder named by hand tells nothing; its checkpoint will, when it is continued.
    return folder.name == identity or not re.fullmatch("[0-9a-f]{12}", folder.name)


def _probing(path: Path, seeds: Collection[int]) -> dict[str, Any] | None:
    """The effective configuration of a run of one of these seeds with probes; None for any other file."""
    try:
        config = read_yaml(path)
        # Most files are of other runs: what follows takes ten times as long.
        if config["seed"] in seeds and probes(config):
            return stored_config("hydra.sweep.subdir", str(path.parent))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError):
        pass  # a damaged file is that job's own failure, told when it is its turn
    return None


def _line(job: Job, asked: list[Probes]) -> str:
    """What is merged, for the plan, the dry run and sweep.json; the same for every seed."""
    used = probes(job.effective)
    keys = [key for key in used if any(one[key] != used[key] for one in asked)] or list(used)[:1]
    name, why = job.config.loss.name, why_not_trained(flat(job.effective), keys[0])
    reason = f"loss={name}" + (f" with {why}" if why != f"loss={name}" else "")
    values = [f"{key}={', '.join(dict.fromkeys(show(one[key]) for one in asked))}" for key in keys]
    measured = " ".join(show(used[key]) if len(keys) == 1 else f"{key}={show(used[key])}" for key in keys)
    where = "" if used in asked else ", as in the run that is there"
    runs = "are one run" if len(asked) > 1 else "is one run with any other"
    without = "a margin" if keys == ["ant_margin"] else "ANT"
    return f"{reason} trains without {without}: {' '.join(values)} {runs}, its statistics measured at {measured}{where}"
