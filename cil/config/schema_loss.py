"""Schema of the contrastive loss and its margin schedule; part of cil/config/schema.py, which exports it."""

from dataclasses import dataclass
from enum import Enum

Negatives = Enum("Negatives", ["first_view", "both_views", "all"])
Reference = Enum("Reference", ["anchor", "global"])
Formulation = Enum("Formulation", ["logsumexp", "indicator", "expm1", "softplus", "topk", "active_mean"])
ScheduleName = Enum("ScheduleName", ["constant", "linear", "cosine", "curriculum"])
ScheduleUnit = Enum("ScheduleUnit", ["epoch", "fraction"])


@dataclass
class LossConfig:
    """The contrastive loss (docs/losses.md). A key the chosen loss does not use is recorded as null."""

    name: str = "ant"
    """Module of cil/losses: infonce or ant."""
    temperature: float | None = 0.2
    """Temperature of InfoNCE."""
    nce_alpha: float | None = 1.0
    """Weight of InfoNCE."""
    ant_beta: float | None = 1.0
    """Weight of the ANT bracket: ANT + gap_beta * gap term."""
    ant_term: bool | None = True
    """false: only the gap term is left in the ANT bracket (the gap-only ablation)."""
    negatives: Negatives | None = Negatives.first_view
    """Pairs ANT and the statistics look at: first_view, both_views or all."""
    reference: Reference | None = Reference.anchor
    """What a negative is compared with: the largest negative of its anchor, or of the whole block (global)."""
    reference_grad: bool | None = True
    """Whether gradient flows through the reference similarity."""
    formulation: Formulation | None = Formulation.logsumexp
    """logsumexp, indicator, expm1, softplus, topk or active_mean."""
    softplus_tau: float | None = 0.1
    """Temperature of formulation softplus."""
    topk: int | None = 32
    """Violations kept by formulation topk."""
    hard_negative_ratio: float | None = None
    """Share of the most similar negatives that ANT looks at, in (0, 1]. null: all."""
    gap_beta: float | None = 0.0
    """Weight of the gap term inside the ANT bracket."""
    gap_target: float | None = 0.7
    """Gap (positive mean - negative mean) at which the gap term vanishes."""


@dataclass
class MarginScheduleConfig:
    """The ANT margin of each epoch of a task."""

    name: ScheduleName = ScheduleName.constant
    """constant, linear, cosine or curriculum."""
    initial_margin: float | None = None
    """Margin at the start of a task. null: `ant_margin`, where the effective configuration records it in any case."""
    target_margin: float | None = 0.5
    """Margin at `end_epoch` (linear, cosine)."""
    start_epoch: int | None = 0
    """0-based epoch at which the margin starts to move."""
    end_epoch: int | None = None
    """Epoch at which the target is reached. null: the task's number of epochs."""
    epochs: list[float] | None = None
    """Curriculum: first epoch of each stage, ascending from 0."""
    margins: list[float] | None = None
    """Curriculum: margin of each stage."""
    unit: ScheduleUnit | None = ScheduleUnit.epoch
    """Whether curriculum `epochs` count epochs or are fractions of the task."""
    gap_ratio: float | None = None
    """Cap: margin <= gap_ratio * mean gap of the previous epoch of the task. null: no cap."""
