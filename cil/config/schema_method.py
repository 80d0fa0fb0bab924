"""Schemas of the methods' own keys; part of cil/config/schema.py, which exports them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from cil.config.keys import (
    ABOVE_ZERO,
    BELOW_HALF,
    BELOW_ONE,
    WHERE_USED,
    at_least,
    between,
    is_,
    key,
    nonzero,
    when,
)

BranchInit = Enum("BranchInit", ["interpolate", "copy", "fresh"])
IcarlLoss = Enum("IcarlLoss", ["softmax", "bce"])


@dataclass
class MethodConfig:
    """Keys every method has. A method with keys of its own adds a subclass to METHOD_SCHEMAS."""

    name: str = key("tagfex", inherited=True)
    """Module of cil/methods."""

    def problem(self, quotas: Mapping[int, int]) -> str | None:
        """What is wrong with a memory that is too small for the method, and what is valid, or None.

        quotas: number of old classes -> exemplars of each of them, for every task from 2 on.
        """
        del quotas
        return None


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


@dataclass
class DistillingConfig(MethodConfig):
    """Keys of all methods that distil from the old network."""

    temperature: float | None = key(2.0, rule=ABOVE_ZERO, needed=WHERE_USED)
    """Temperature of the distillation."""


_DISTILS = when("method.kd_weight", nonzero)


@dataclass
class LwfConfig(DistillingConfig):
    """Learning without Forgetting (arXiv 1606.09282)."""

    temperature: float | None = key(2.0, rule=ABOVE_ZERO, used=_DISTILS, needed=WHERE_USED)
    """Temperature of the distillation."""
    kd_weight: float = key(3.0, rule=at_least(0))
    """Weight of the distillation."""


@dataclass
class IcarlConfig(DistillingConfig):
    """iCaRL (arXiv 1611.07725)."""

    temperature: float | None = key(
        2.0, rule=ABOVE_ZERO, used=_DISTILS + when("method.loss", is_("softmax")), needed=WHERE_USED
    )
    """Temperature of the distillation with `loss=softmax`."""
    loss: IcarlLoss = IcarlLoss.softmax
    """softmax: cross-entropies. bce: the paper's sigmoid cross-entropies, old outputs being the targets of old
    classes."""
    kd_weight: float = key(1.0, rule=at_least(0))
    """Weight of the distillation."""


@dataclass
class BicConfig(DistillingConfig):
    """Large Scale Incremental Learning (BiC, arXiv 1905.13260)."""

    holdout: float = key(0.1, rule=BELOW_HALF)
    """Share of an old class's exemplars that is held out, and as many images of every other class."""

    def problem(self, quotas: Mapping[int, int]) -> str | None:
        """A task whose exemplars leave nothing to hold out; `quotas`: old classes -> exemplars of each."""
        if not quotas:
            return None
        old, quota = min(quotas.items(), key=lambda item: (item[1], -item[0]))
        need = math.ceil(1 / self.holdout - 1e-9)
        if quota >= need:
            return None
        return (
            f"{quota} exemplars of each of {old} old classes leave none to hold out with "
            f"method.holdout={self.holdout:g}; valid: {need} of each and more"
        )


@dataclass
class WaConfig(DistillingConfig):
    """Maintaining Discrimination and Fairness (WA, arXiv 1911.07053)."""

    align_weights: bool = True
    """Scale the new classifier rows to the mean norm of the old ones at the end of a task."""
    clip: bool = False
    """Keep the classifier's weights at 0 or above, as the paper does."""


@dataclass
class ExpandingConfig(MethodConfig):
    """Keys of methods that add a branch for each task."""

    aux_weight: float = key(1.0, rule=at_least(0))
    """Weight of the auxiliary head's cross-entropy."""
    align_weights: bool = True
    """Scale the new classifier rows to the mean norm of the old ones at the end of a task."""


@dataclass
class FosterConfig(DistillingConfig):
    """FOSTER (arXiv 2204.04662)."""

    kd_weight: float = key(1.0, rule=at_least(0))
    """Weight of the distillation in boosting."""
    boosting_beta: float = key(0.96, rule=BELOW_ONE)
    """beta of the class weights by effective numbers that logits are divided by in boosting. 0: all alike."""
    compression_beta: float = key(0.97, rule=BELOW_ONE)
    """beta of the class weights that the teacher's probabilities are multiplied by in compression. 0: all alike."""
    compression_share: float = key(0.765, rule=ABOVE_ZERO)
    """Epochs of compression, relative to `trainer.inc_epochs`, rounded to a whole number (at least 1)."""
    align_weights: bool = True
    """Scale the new classifier rows to the mean norm of the old ones, after boosting and after compression."""


METHOD_SCHEMAS: dict[str, type[MethodConfig]] = {
    "tagfex": TagFexConfig,
    "lwf": LwfConfig,
    "icarl": IcarlConfig,
    "bic": BicConfig,
    "wa": WaConfig,
    "der": ExpandingConfig,
    "memo": ExpandingConfig,
    "foster": FosterConfig,
}
"""Schema of each method that has keys of its own, by name."""


def method_schema(name: str | None) -> type[MethodConfig]:
    """The schema of a method's keys; one without a row has MethodConfig's `name` alone."""
    return METHOD_SCHEMAS.get(name or "", MethodConfig)
