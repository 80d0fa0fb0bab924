"""The state that a branch (`rerun=RUN from_task=k`) starts from: RUN's after task k, made the branch's own.

It becomes the first checkpoint of the branch, which from then on does not need RUN any more.
"""

from pathlib import Path
from typing import Any

from cil.config.identity import run_id
from cil.config.parts import changed_parts
from cil.config.schema import RunConfig
from cil.config.typed import typed
from cil.config.usage import with_neutral
from cil.data.training import TrainingData
from cil.engine.loop import Trainer
from cil.engine.memory_budget import make_memory
from cil.errors import ConfigError, DataError
from cil.planning.branch import check_start
from cil.planning.plan import Job
from cil.planning.stored import canonical
from cil.records.checkpoint import CheckpointFolder, DamagedCheckpoint

State = dict[str, Any]


def state_to_branch_from(job: Job) -> State:
    """A checkpoint to continue from, with the ancestor's figures up to the branch and none of its hours.

    Raises ConfigError where the ancestor has not kept it, or its numbers are those of other code; DataError where it
    is damaged.
    """
    check_start(job)  # the ancestor may have changed since the job was planned
    branch = job.config.branch
    folder, task = Path(str(branch.run)), int(branch.task or 0)
    try:
        stored = CheckpointFolder(folder / "checkpoints").after_task(task)
    except DamagedCheckpoint as error:
        raise DataError(f"from_task: {error}") from None
    if stored is None:
        raise ConfigError(
            f"from_task: what {folder} has kept of task {task} is its model alone (by a version before from_task); "
            "run it again with checkpoint.keep_tasks=true"
        )
    ancestor = canonical(typed(with_neutral(stored["config"])))
    if run_id(ancestor) != branch.run_id:
        raise DataError(f"from_task: {folder}: config.yaml and the state after task {task} are not of the same run")
    changed = changed_parts(stored, ancestor)
    if changed:
        raise ConfigError(
            f"from_task: {folder} was trained by code that gives other numbers, since these have changed: "
            f"{', '.join(changed)}; see CHANGELOG.md, and branch off with that code, or train it anew"
        )
    inherited = [*stored.get("inherited", []), _share(job, stored, ancestor)]
    return {
        "data": stored["data"],
        "thread_counts": stored.get("thread_counts", []),
        "process_counts": stored.get("process_counts", [1]),
        "torch_versions": stored.get("torch_versions", []),
        "records": stored["records"],
        "trainer": stored["trainer"],
        "seconds": 0.0,
        "inherited": inherited,
    }


def _share(job: Job, stored: State, ancestor: dict[str, Any]) -> dict[str, Any]:
    """What the branch has of the ancestor's own tasks: which ones, their epochs, and the settings they have seen."""
    branch = job.config.branch
    first = (ancestor["branch"]["task"] or 0) + 1
    tasks = range(first, int(branch.task or 0) + 1)
    ended = [record["task"] for record in stored["records"] if record["kind"] == "epoch"]
    return {
        "run_id": branch.run_id,
        "run": branch.run,
        "tasks": list(tasks),
        "epochs": [ended.count(task) for task in tasks],
        "config": ancestor,
    }


def fit_memory(state: State, config: RunConfig, data: TrainingData) -> None:
    """Cut the exemplars in `state` to what the branch's memory may hold of each class; the most important stay."""
    task_end = state["trainer"]["task_end"]
    memory = make_memory(config, data)
    memory.load_state_dict(task_end["memory"])
    memory.shrink(memory.quota(data.stream.tasks[int(config.branch.task or 0) - 1].known))
    task_end["memory"] = memory.state_dict()


def load_branch_state(trainer: Trainer, state: State) -> None:
    """Load it as a checkpoint. Raises ConfigError where the network it is of has another shape."""
    try:
        trainer.load_state_dict(state["trainer"])
    except (KeyError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"from_task: the state does not fit the settings; leave out what changes the network ({reason})"
        ) from None
