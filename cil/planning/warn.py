"""Settings that are allowed but never act: beyond the end of training, or data that nothing is read from."""

from collections.abc import Sequence

from cil.config.locations import config_dir
from cil.config.schema import DatasetConfig, RunConfig, ScheduleName
from cil.errors import ConfigError


def data_warnings(dataset: DatasetConfig) -> list[str]:
    """A line for each place of data that nothing is read from: maybe dataset=NAME was forgotten."""
    if dataset.source != "digits":
        return []
    given = {"dataset.root": dataset.root is not None, "dataset.download": dataset.download}
    told = [f"{key}: has no effect, dataset=digits comes with scikit-learn" for key, there in given.items() if there]
    if dataset.name != "digits" and (config_dir() / "dataset" / f"{dataset.name}.yaml").is_file():
        told.append(f"dataset.name: these are digits, dataset={dataset.name} would be {dataset.name}")
    return told


def task_warnings(config: RunConfig, tasks: int) -> list[str]:
    """A line for trainer.max_tasks beyond the `tasks` that the split has."""
    most = config.trainer.max_tasks
    if most is None or most <= tasks:
        return []
    return [f"trainer.max_tasks: {most} cuts nothing off, the split has {tasks} {'task' if tasks == 1 else 'tasks'}"]


def epoch_warnings(config: RunConfig, tasks: int) -> list[str]:
    """One line for each milestone or margin breakpoint that never acts.

    Raises ConfigError for a margin schedule that starts where the task ends.
    """
    trainer, optimizer = config.trainer, config.optimizer
    phases = [("task 1", "init", trainer.init_epochs, optimizer.init_milestones)]
    if tasks > 1:
        phases.append(("later tasks", "inc", trainer.inc_epochs, optimizer.inc_milestones))
    warnings = []
    for phase, prefix, epochs, milestones in phases:
        late = [milestone for milestone in milestones if milestone >= epochs]
        if late:
            warnings.append(f"optimizer.{prefix}_milestones: {_listed(late)} never acts, {phase}: {epochs} epochs")
        pairs = config.augment.view_bank
        if pairs is not None and pairs >= epochs:
            warnings.append(f"augment.view_bank: {pairs} pairs, {phase}: {epochs} epochs; no pair comes twice")
        warnings += _margin_warnings(config, phase, epochs)
        last = config.teacher.average_last
        if last is not None and last > epochs and tasks > 1:
            warnings.append(
                f"teacher.average_last: {last} is more than the {epochs} epochs of {phase}; the mean is of all of them"
            )
    return warnings


def _margin_warnings(config: RunConfig, phase: str, epochs: int) -> list[str]:
    schedule = config.margin_schedule
    if schedule.name in (None, ScheduleName.constant):
        return []
    if schedule.name is ScheduleName.curriculum:
        fraction = schedule.unit is not None and schedule.unit.name == "fraction"
        late = [epoch for epoch in schedule.epochs or [] if epoch >= (1 if fraction else epochs)]
        return [f"margin_schedule.epochs: {_listed(late)} never acts, {phase}: {epochs} epochs"] if late else []
    start, end = schedule.start_epoch or 0, schedule.end_epoch
    if end is None and start >= epochs:
        raise ConfigError(f"margin_schedule.start_epoch: {start} must be less than the {epochs} epochs of {phase}")
    if end is not None and end > epochs:
        return [f"margin_schedule.end_epoch: {end} is beyond the {epochs} epochs of {phase}; target never reached"]
    return []


def _listed(numbers: Sequence[float]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)
