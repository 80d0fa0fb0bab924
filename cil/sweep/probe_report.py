"""What the no-op detector (cil/sweep/probe.py) says of a sweep and of a single run."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from omegaconf import OmegaConf

from cil.config.keys import NOT_TRIED
from cil.config.names import show
from cil.config.schema import RunConfig
from cil.config.typed import flat, plain_value
from cil.config.usage import default_of, key_facts
from cil.errors import ConfigError
from cil.planning.plan import Job, Plan, job_from_composed
from cil.planning.stored import with_overrides
from cil.run.table import table
from cil.sweep.probe import NO_EFFECT, Effect, Probe
from cil.sweep.summary import swept_keys

Point = tuple[dict[str, str], RunConfig]
"""A point of a grid: its overrides by key, and the configuration."""


def probe(planned: Plan) -> str:
    """The answer to `probe=true`: what the swept loss settings change and where they do not, or each one of a run."""
    if planned.multirun:
        effects = sweep_effects(planned.jobs)
        lines = [f"{key} = {', '.join(values)}: changes {effects[key]}" for key, values in _loss_keys(planned).items()]
        lines += [f"warning: {warning}" for warning in sweep_warnings(planned)]
        return "\n".join(lines or ["no setting of the contrastive loss is swept"])
    return run_effects(planned.jobs[0])


def sweep_warnings(planned: Plan) -> list[str]:
    """One line for each swept loss setting that changes neither loss nor gradient, everywhere or in a part.

    Not for a part in which one run serves all of its values: nothing is trained twice there.
    """
    if not planned.grid or not _loss_keys(planned):
        return []
    points, warnings, probe_batch = _points(planned.jobs), [], Probe()
    for key, values in _loss_keys(planned).items():
        idle, active = _by_context(points, key, list(_loss_keys(planned)), probe_batch)
        text = f"{key} = {', '.join(values)}: changes neither loss nor gradient"
        if idle and not active:
            warnings.append(f"{text} (measured on a probe batch)")
        else:
            parts = [context for context, one_run in idle.items() if not one_run]
            warnings += [f"{text} with {context} (measured on a probe batch)" for context in parts]
    return warnings


def sweep_effects(jobs: Sequence[Job]) -> dict[str, Effect]:
    """What each swept loss setting changes, anywhere in the grid."""
    points, probe_batch = _points(jobs), Probe()
    effects = {}
    for key in filter(is_loss_key, swept_keys(jobs)):
        effects[key] = NO_EFFECT
        for group in _groups(points, key).values():
            effects[key] |= probe_batch.compare_all([config for _, config in group])
    return effects


def run_effects(job: Job) -> str:
    """A table: every setting of the loss, another value of it, and what that one would change."""
    probe_batch, values = Probe(), flat(job.effective)
    rows = [["setting", "value", "tried", "changes"]]
    for key in loss_settings():
        tried = another_value(key, values[key])
        try:
            other = job_from_composed(OmegaConf.create(with_overrides(job.effective, {key: tried})))
            same = other.run_id == job.run_id
            effect = "nothing: not used" if same else str(probe_batch.compare(job.config, other.config))
        except ConfigError as error:
            effect = f"- ({error})"
        rows.append([key, show(values[key]), show(tried), effect])
    return f"{table(rows, texts=(0, 1, 3))}\nprobe: measured on fixed batches of embeddings; nothing was trained"


def loss_settings() -> list[str]:
    """Keys of the contrastive loss that can be tried with another value."""
    return [key for key, facts in key_facts().items() if is_loss_key(key) and facts.get("tried") is not NOT_TRIED]


def another_value(key: str, value: Any) -> Any:
    """A valid value that differs from the one given; of an unused (null) key, from its default."""
    default = default_of(key)
    value = plain_value(default) if value is None else value
    if value is None:
        return key_facts()[key]["tried"]
    if isinstance(default, Enum):
        members = list(type(default).__members__)
        return members[(members.index(value) + 1) % len(members)]
    if isinstance(value, bool):
        return not value
    if isinstance(value, list):
        return [*value[:-1], value[-1] + 1]
    rule = key_facts()[key].get("rule")
    candidates = [2 * value, value / 2] if value else [type(value)(1)]
    return next(other for other in candidates if rule is None or rule.test(other))


def is_loss_key(key: str) -> bool:
    """Whether an override is about the contrastive loss."""
    return key.split(".")[0] in ("ant_margin", "loss", "margin_schedule")


def _loss_keys(planned: Plan) -> dict[str, list[str]]:
    return {key: values for key, values in swept_keys(planned.jobs).items() if is_loss_key(key)}


def _points(jobs: Sequence[Job]) -> list[Point]:
    """Every point of the grid, those that are the same run as another one too."""
    return [
        ({key.lstrip("+"): value for key, _, value in (text.partition("=") for text in overrides)}, job.config)
        for job in jobs
        for overrides in (job.overrides, *job.copies)
    ]


def _groups(points: Sequence[Point], key: str) -> dict[str, list[Point]]:
    """Points that differ in `key` alone."""
    groups: dict[str, list[Point]] = {}
    for overrides, config in points:
        rest = str(sorted((name, value) for name, value in overrides.items() if name != key))
        groups.setdefault(rest, []).append((overrides, config))
    return {rest: group for rest, group in groups.items() if len(group) > 1}


def _by_context(
    points: Sequence[Point], key: str, loss_keys: Sequence[str], probe_batch: Probe
) -> tuple[dict[str, bool], bool]:
    """Other swept loss settings under which `key` has no effect -> whether one run serves; and if it acts anywhere."""
    acts: dict[str, bool] = {}
    one_run: dict[str, bool] = {}
    for group in _groups(points, key).values():
        overrides: Mapping[str, str] = group[0][0]
        context = " ".join(f"{name}={overrides[name]}" for name in loss_keys if name != key and name in overrides)
        configs = [config for _, config in group]
        acts[context] = acts.get(context, False) or probe_batch.compare_all(configs).any
        one_run[context] = one_run.get(context, True) and all(config is configs[0] for config in configs)
    return {context: one_run[context] for context, active in acts.items() if not active}, any(acts.values())
