"""Schema of the contrastive loss and its margin schedule; part of cil/config/schema.py, which exports it."""

from dataclasses import dataclass
from enum import Enum

from cil.config.keys import (
    ABOVE_ZERO,
    ALWAYS,
    NOT_TRIED,
    SHARE,
    WHERE_USED,
    at_least,
    between,
    is_,
    is_not,
    key,
    nonzero,
    true,
    when,
)

Negatives = Enum("Negatives", ["first_view", "both_views", "all"])
Reference = Enum("Reference", ["anchor", "global"])
Formulation = Enum("Formulation", ["logsumexp", "indicator", "expm1", "softplus", "topk", "active_mean"])
Prototypes = Enum("Prototypes", ["none", "negatives", "repel"])
ScheduleName = Enum("ScheduleName", ["constant", "linear", "cosine", "curriculum"])
ScheduleUnit = Enum("ScheduleUnit", ["epoch", "fraction"])

_HAS_ANT = when("loss.name", is_not("infonce"))
"""InfoNCE has no ANT bracket. A loss of your own is taken to use every key."""
_BRACKET = when("loss.ant_beta", nonzero)
_REPEL = when("loss.prototypes", is_("repel"))
_ANT = when("loss.ant_term", true)
_MOVES = when("margin_schedule.name", is_("linear", "cosine"))
_STEPS = when("margin_schedule.name", is_("curriculum"))


@dataclass
class LossConfig:
    """The contrastive loss (docs/losses.md). A key the chosen loss does not use is recorded as null."""

    name: str | None = key("ant", needed=ALWAYS, tried=NOT_TRIED)
    """Module of cil/losses: infonce or ant."""
    temperature: float | None = key(0.2, rule=ABOVE_ZERO, needed=WHERE_USED)
    """Temperature of InfoNCE."""
    nce_alpha: float | None = key(1.0, rule=at_least(0), needed=WHERE_USED)
    """Weight of InfoNCE."""
    ant_beta: float | None = key(1.0, rule=at_least(0), used=_HAS_ANT, needed=WHERE_USED)
    """Weight of the ANT bracket: ANT + gap_beta * gap term."""
    ant_term: bool | None = key(True, used=_BRACKET, needed=WHERE_USED)
    """false: only the gap term is left in the ANT bracket (the gap-only ablation)."""
    negatives: Negatives | None = key(Negatives.first_view, trains=_BRACKET, needed=WHERE_USED)
    """Pairs ANT and the statistics look at: first_view, both_views or all."""
    reference: Reference | None = key(Reference.anchor, trains=_ANT, needed=WHERE_USED)
    """What a negative is compared with: the largest negative of its anchor, or of the whole block (global)."""
    reference_grad: bool | None = key(True, used=_ANT, needed=WHERE_USED)
    """Whether gradient flows through the reference similarity."""
    formulation: Formulation | None = key(Formulation.logsumexp, used=_ANT, needed=WHERE_USED)
    """logsumexp, indicator, expm1, softplus, topk or active_mean."""
    softplus_tau: float | None = key(
        0.1, rule=ABOVE_ZERO, used=when("loss.formulation", is_("softplus")), needed=WHERE_USED
    )
    """Temperature of formulation softplus."""
    topk: int | None = key(32, rule=at_least(1), used=when("loss.formulation", is_("topk")), needed=WHERE_USED)
    """Violations kept by formulation topk."""
    hard_negative_ratio: float | None = key(None, rule=SHARE, used=_ANT, off=None, tried=0.5)
    """Share of the most similar negatives that ANT looks at, in (0, 1]. null: all."""
    gap_beta: float | None = key(0.0, rule=at_least(0), used=_BRACKET, needed=WHERE_USED, off=0.0)
    """Weight of the gap term inside the ANT bracket."""
    gap_target: float | None = key(0.7, rule=between(-2, 2), used=when("loss.gap_beta", nonzero), needed=WHERE_USED)
    """Gap (positive mean - negative mean) at which the gap term vanishes."""
    prototypes: Prototypes | None = key(
        Prototypes.none, neutral="none", needed=ALWAYS, off="none", tried=NOT_TRIED, inherited=True
    )
    """What the mean embeddings of old classes' exemplars do: nothing (none), further negatives of InfoNCE
    (negatives), or embeddings are pushed away from them (repel)."""
    prototype_weight: float | None = key(1.0, rule=at_least(0), neutral=None, used=_REPEL, needed=WHERE_USED)
    """Weight of the term that pushes away from prototypes."""
    prototype_delta: float | None = key(0.0, rule=between(-1, 1), neutral=None, used=_REPEL, needed=WHERE_USED)
    """Cosine similarity to a prototype up to which nothing is pushed."""
    chunk_rows: int | None = key(None, rule=at_least(2), neutral=None, off=None, tried=NOT_TRIED)
    """Rows (two an image) compared with all others at a time, so that memory stays linear in the batch; the loss is the
    same up to rounding (docs/losses.md). null: all at once."""


@dataclass
class MarginScheduleConfig:
    """The ANT margin of each epoch of a task."""

    name: ScheduleName | None = key(
        ScheduleName.constant,
        used=_HAS_ANT,
        idle="constant",
        trains=_BRACKET,
        needed=ALWAYS,
        off="constant",
    )
    """constant, linear, cosine or curriculum."""
    initial_margin: float | None = key(
        None, rule=at_least(0), used=when("margin_schedule.name", is_not("curriculum")), tried=NOT_TRIED
    )
    """Margin at the start of a task. null: `ant_margin`, where the effective configuration records it in any case."""
    target_margin: float | None = key(0.5, rule=at_least(0), used=_MOVES, needed=WHERE_USED)
    """Margin at `end_epoch` (linear, cosine)."""
    start_epoch: int | None = key(0, rule=at_least(0), used=_MOVES, needed=WHERE_USED)
    """0-based epoch at which the margin starts to move."""
    end_epoch: int | None = key(None, rule=at_least(1), used=_MOVES, tried=2)
    """Epoch at which the target is reached. null: the task's number of epochs."""
    epochs: list[float] | None = key(None, rule=at_least(0), used=_STEPS, needed=WHERE_USED, tried=[0, 1])
    """Curriculum: first epoch of each stage, ascending from 0."""
    margins: list[float] | None = key(None, rule=at_least(0), used=_STEPS, needed=WHERE_USED, tried=[0.1, 0.3])
    """Curriculum: margin of each stage."""
    unit: ScheduleUnit | None = key(ScheduleUnit.epoch, used=_STEPS, needed=WHERE_USED)
    """Whether curriculum `epochs` count epochs or are fractions of the task."""
    gap_ratio: float | None = key(None, rule=at_least(0), used=_HAS_ANT, trains=_BRACKET, off=None, tried=0.8)
    """Cap: margin <= gap_ratio * mean gap of the previous epoch of the task. null: no cap."""
