"""`rerun=RUN from_task=k`: a new run inherits tasks 1 to k of RUN. What it may change, and what RUN must have kept.

Imports no torch: a branch that cannot start is refused at once.
"""

import re
from pathlib import Path
from typing import Any

from cil.config.identity import run_id
from cil.config.names import show
from cil.config.schema import MemoryPolicy, RunConfig
from cil.config.typed import typed
from cil.config.usage import inherited_keys
from cil.data.memory import quota
from cil.data.sources import count_classes
from cil.data.stream import task_sizes
from cil.errors import ConfigError
from cil.planning.jobs import Job
from cil.planning.stored import differences, stored_config

_KEPT = re.compile(r"task-(?P<ended>\d+)-[0-9a-f]{16}\.pt|t(?P<next>\d+)-e0+-s0+-[0-9a-f]{16}\.pt")
"""Files of a state between two tasks: one kept for good, or a checkpoint before the first step of the next task."""


def kept_tasks(folder: Path) -> list[int]:
    """The tasks after which the run in `folder` has kept its state, by the names of its files."""
    matches = [_KEPT.fullmatch(path.name) for path in (folder / "checkpoints").glob("t*.pt")]
    return sorted({int(m["ended"] or int(m["next"]) - 1) for m in matches if m is not None} - {0})


def branch_values(stored: dict[str, Any], folder: Path, task: int) -> dict[str, Any]:
    """The keys that say where a branch of the run of this stored configuration starts."""
    return {"branch.run_id": run_id(stored), "branch.task": task, "branch.run": str(folder.expanduser().absolute())}


def check_start(job: Job) -> None:
    """Raises ConfigError where the job is a branch that cannot start now: no such state, or one that does not fit."""
    branch = job.config.branch
    if branch.task is None:
        return
    ancestor = stored_config("from_task", str(branch.run))
    if run_id(ancestor) != branch.run_id:
        raise ConfigError(f"from_task: {branch.run} holds another run than {branch.run_id}, whose tasks are inherited")
    _refuse_unkept(ancestor, Path(str(branch.run)), branch.task)
    _refuse_changes(ancestor, job.effective, str(branch.run))
    _refuse_larger_memory(typed(ancestor), job.config, branch.task)


def _refuse_unkept(ancestor: dict[str, Any], folder: Path, task: int) -> None:
    own = ancestor["branch"]
    if own["task"] is not None and task <= own["task"]:
        raise ConfigError(
            f"from_task: {folder} did not train task {task} itself, its tasks 1 to {own['task']} are those of "
            f"{own['run']}; branch off that run: rerun={own['run']} from_task={task}"
        )
    kept = kept_tasks(folder)
    if task not in kept:
        listed = f"kept are those after task {', '.join(map(str, kept))}" if kept else "it has kept none"
        raise ConfigError(
            f"from_task: {folder} has not kept the state after task {task}, {listed}; "
            "a run with checkpoint.keep_tasks=true keeps all"
        )


def _refuse_changes(ancestor: dict[str, Any], new: dict[str, Any], run: str) -> None:
    fixed = inherited_keys()
    changed = [text for text in differences(ancestor, new) if text.partition(":")[0] in fixed]
    if changed:
        key = changed[0].partition(":")[0]
        raise ConfigError(
            f"{key}: a branch keeps what the state it starts from depends on ({'; '.join(changed)}); "
            f"leave it out, or train every task anew with rerun={run} alone"
        )


def _refuse_larger_memory(ancestor: RunConfig, config: RunConfig, task: int) -> None:
    """A smaller memory is a part of the one that was kept; exemplars that were dropped do not come back."""
    old, new = ancestor.memory, config.memory
    if (old.size, old.policy) == (new.size, new.policy):
        return
    if new.total_mb is not None:
        raise ConfigError("memory.policy: with memory.total_mb a branch keeps the policy; leave it out")
    dataset = config.dataset
    total = dataset.classes if dataset.classes is not None else count_classes(dataset)
    known = sum(task_sizes(config.split, total)[:task])
    had, wanted = quota(old, known, total), quota(new, known, total)
    if bool(old.size) != bool(new.size):
        raise ConfigError(
            f"memory.size: {show(old.size)} -> {show(new.size)}: a branch keeps whether there are exemplars; "
            f"leave it out, or train every task anew with rerun={config.branch.run} alone"
        )
    if wanted > had:
        most = (had + 1) * (known if new.policy is MemoryPolicy.total else total) - 1
        raise ConfigError(
            f"memory.size: {new.size} with memory.policy={new.policy.name if new.policy else None} wants {wanted} "
            f"exemplars of each class after task {task}, the state there holds {had}; valid: at most {most}"
        )
