"""Schemas of the methods' own keys; part of cil/config/schema.py, which exports them."""

from dataclasses import dataclass
from enum import Enum

from cil.config.keys import ABOVE_ZERO, WHERE_USED, at_least, between, key, nonzero, when

BranchInit = Enum("BranchInit", ["interpolate", "copy", "fresh"])


@dataclass
class MethodConfig:
    """Keys every method has. A method with keys of its own adds a subclass to METHOD_SCHEMAS."""

    name: str = key("tagfex", inherited=True)
    """Module of cil/methods."""


@dataclass
class TagFexConfig(MethodConfig):
    """TagFex (CVPR 2025, arXiv 2503.00823): loss weights and growth."""

    attention_heads: int = key(8, rule=at_least(1), inherited=True)
    """Heads of the merge attention; divides the feature width."""
    init: BranchInit = BranchInit.interpolate
    """Start of a new task-specific net: interpolate (previous net and task-agnostic net), copy (previous) or fresh."""
    init_factor: float = key(0.95, rule=between(0, 1))
    """Share of the previous task-specific net in `init=interpolate`."""
    contrast_weight: float = key(1.0, rule=at_least(0))
    """Weight of the contrastive bracket (lambda_c)."""
    distill_weight: float | None = key(
        2.0, rule=at_least(0), used=when("method.contrast_weight", nonzero), needed=WHERE_USED
    )
    """Weight of contrastive distillation inside the bracket (lambda_kd)."""
    aux_weight: float = key(2.0, rule=at_least(0))
    """Weight of the auxiliary head's cross-entropy."""
    trans_cls_weight: float = key(1.0, rule=at_least(0))
    """Weight of the transfer head's cross-entropy."""
    transfer_weight: float = key(1.0, rule=at_least(0))
    """Weight of the transfer of merged features to the classifier."""
    transfer_temperature: float = key(2.0, rule=ABOVE_ZERO)
    """Temperature of the transfer term."""
    align_weights: bool = True
    """Scale the new classifier rows to the mean norm of the old ones at the end of a task."""


METHOD_SCHEMAS: dict[str, type[MethodConfig]] = {"tagfex": TagFexConfig}
"""Schema of each method that has keys of its own, by name."""


def method_schema(name: str | None) -> type[MethodConfig]:
    """The schema of a method's keys; one without a row has MethodConfig's `name` alone."""
    return METHOD_SCHEMAS.get(name or "", MethodConfig)
