"""What a job finds in its folder: its own run, or another one. Imports no torch."""

from pathlib import Path

from cil.config.identity import run_id
from cil.errors import ConfigError
from cil.planning.plan import Job
from cil.planning.stored import differences, stored_config
from cil.records.states import Found, State, look


def find(job: Job, folder: Path | None) -> Found:
    """The state of the job's run in `folder`; `failed`, and no figures, where what is there is not this very job's."""
    found = look(folder)
    if folder is None or found.state is State.new:
        return found
    reason = _foreign(job, folder, found)
    return found if reason is None else Found(State.failed, {"error": reason})


def _foreign(job: Job, folder: Path, found: Found) -> str | None:
    """Why the folder's content does not count as this job's."""
    try:
        stored = stored_config("hydra.sweep.subdir", str(folder))
    except ConfigError as error:
        return str(error)
    if run_id(stored) != job.run_id:
        return f"{folder} holds another run ({'; '.join(differences(stored, job.effective))})"
    noted = found.result.get("config_id", job.run_id)
    return None if noted == job.run_id else f"{folder} holds the result of another run ({noted})"
