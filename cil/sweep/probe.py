"""The no-op detector: do settings of the contrastive loss change its value and its gradient?

A loss is computed on fixed batches of embeddings, at the margins that its schedule passes through: no images, no
network, no training. What changes neither value nor gradient there changes no training.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cil.config.schema import RunConfig
from cil.config.typed import plain_value
from cil.losses.base import make_loss
from cil.losses.margins import MarginSchedule
from cil.seeding import generator

NOISE = (0.23, 0.5, 0.73, 1.0, 1.53, 3.0)
"""Size of what differs between two views, one batch each: gaps of about 0.95, 0.8, 0.65, 0.5, 0.3 and 0.1."""
GAPS = (0.05, 0.5, 0.95)
"""Gaps of the previous epoch that a schedule with gap_ratio is tried with."""
MAX_IMAGES, MAX_WIDTH, MAX_MARGINS = 512, 64, 4
CLASSES = 10
"""Number of classes the images of a batch are labelled with, for losses that use labels."""
OLD = 4
"""How many of them are old ones, with a prototype each (loss.prototypes)."""
TOLERANCE = 1e-9
"""Relative difference, in float64, that counts as none."""


@dataclass(frozen=True)
class Effect:
    """What two or more configurations differ in."""

    loss: bool
    gradient: bool

    @property
    def any(self) -> bool:
        """Whether training differs."""
        return self.loss or self.gradient

    def __or__(self, other: "Effect") -> "Effect":
        return Effect(self.loss or other.loss, self.gradient or other.gradient)

    def __str__(self) -> str:
        names = [name for name, there in (("loss", self.loss), ("gradient", self.gradient)) if there]
        return " and ".join(names) or "nothing"


NO_EFFECT = Effect(False, False)


class Probe:
    """Compares configurations; what has been computed once is kept."""

    def __init__(self) -> None:
        self._responses: dict[str, tuple[Tensor, Tensor]] = {}

    def compare(self, first: RunConfig, second: RunConfig) -> Effect:
        """What differs between two configurations whose epochs are the same in number."""
        pairs = dict.fromkeys(zip(_margins(first), _margins(second), strict=False))
        # Margins that differ come first: they are where a schedule can have an effect.
        ordered = sorted(pairs, key=lambda pair: pair[0] == pair[1])
        effect = NO_EFFECT
        for a, b in _spread(ordered, MAX_MARGINS):
            one, other = self._response(first, a), self._response(second, b)
            effect |= Effect(_differ(one[0], other[0]), _differ(one[1], other[1]))
            if effect == Effect(True, True):
                break
        return effect

    def compare_all(self, configs: Sequence[RunConfig]) -> Effect:
        """What differs between the first configuration and any of the others."""
        effect = NO_EFFECT
        for config in configs[1:]:
            effect |= self.compare(configs[0], config)
        return effect

    def _response(self, config: RunConfig, margin: float) -> tuple[Tensor, Tensor]:
        """(losses, gradients) of every batch and branch, weighted as in training, flat."""
        weights = _branch_weights(config)
        shape = (min(config.trainer.batch_size, MAX_IMAGES), min(config.backbone.projector_out or MAX_WIDTH, MAX_WIDTH))
        key = json.dumps([plain_value(config.loss), margin, weights, shape])
        if key not in self._responses:
            self._responses[key] = _respond(config, margin, weights, *shape)
        return self._responses[key]


def _respond(
    config: RunConfig, margin: float, weights: dict[str, float], images: int, width: int
) -> tuple[Tensor, Tensor]:
    loss = make_loss(config.loss) if weights else None
    losses, gradients = [torch.zeros(1, dtype=torch.float64)], [torch.zeros(1, dtype=torch.float64)]
    labels = torch.arange(images) % CLASSES
    for noise in NOISE if loss is not None else ():
        embeddings, predicted = _batch(images, width, noise)
        rows = {"contrast": embeddings, "distill": predicted}
        prototypes = embeddings[:OLD].clone()  # image i is of class i
        for branch, weight in weights.items():
            anchors = rows[branch].clone().requires_grad_()
            # In `contrast` the columns are the anchors themselves, in `distill` they are the teacher's.
            assert loss is not None
            columns, old = (anchors, prototypes) if branch == "contrast" else (embeddings, None)
            output = loss(anchors, columns, margin, labels, old)
            (gradient,) = torch.autograd.grad(output.loss, anchors)
            losses.append(weight * output.loss.detach().reshape(1))
            gradients.append(weight * gradient.flatten())
    return torch.cat(losses), torch.cat(gradients)


def _batch(images: int, width: int, noise: float) -> tuple[Tensor, Tensor]:
    """Embeddings [2 * images, width] of two views that differ by `noise`, and predictions of them, float64."""
    stream = generator(0, "probe", str(noise))

    def draw(count: int) -> Tensor:
        return F.normalize(torch.randn(count, width, generator=stream, dtype=torch.float64), dim=1)

    centres = draw(images).repeat(2, 1)
    embeddings = centres + noise * draw(2 * images)
    return embeddings, embeddings + 0.3 * draw(2 * images)


def _branch_weights(config: RunConfig) -> dict[str, float]:
    """Where the loss is used, and with which weight (that of distillation without the share of old classes)."""
    if config.loss.name is None:
        return {}
    contrast = getattr(config.method, "contrast_weight", 1.0)
    weights = {"contrast": contrast, "distill": contrast * (getattr(config.method, "distill_weight", None) or 0.0)}
    return {branch: weight for branch, weight in weights.items() if weight}


def _margins(config: RunConfig) -> list[float]:
    """Margins of all epochs of a first and of a later task, for several gaps of the epoch before."""
    if config.loss.name is None:
        return [0.0]
    schedule = MarginSchedule(config.margin_schedule, config.ant_margin)
    margins = []
    for epochs in (config.trainer.init_epochs, config.trainer.inc_epochs):
        margins.append(schedule.margin(0, epochs, None))
        for gap in GAPS:
            margins += [schedule.margin(epoch, epochs, gap) for epoch in range(1, epochs)]
    return margins


def _spread(items: Sequence[Any], count: int) -> Iterable[Any]:
    """The first and the last of `items`, and some evenly between: `count` at most."""
    if len(items) <= count:
        return items
    return [items[i * (len(items) - 1) // (count - 1)] for i in range(count)]


def _differ(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape:
        return True
    size = max(a.abs().max().item(), b.abs().max().item())
    return not bool(((a - b).abs() <= TOLERANCE * size).all())
