"""The settings of the contrastive losses with every null filled in and every range checked."""

from dataclasses import dataclass, fields

from cil.config.schema import Formulation, LossConfig, Negatives, Reference
from cil.errors import ConfigError


@dataclass(frozen=True)
class LossSettings:
    """LossConfig without nulls: a key the chosen loss does not train with still has a part in its statistics.

    `hard_negative_ratio` alone may be None (off). The fields are documented in cil/config/schema.py.
    """

    temperature: float
    nce_alpha: float
    ant_beta: float
    ant_term: bool
    negatives: Negatives
    reference: Reference
    reference_grad: bool
    formulation: Formulation
    softplus_tau: float
    topk: int
    hard_negative_ratio: float | None
    gap_beta: float
    gap_target: float

    def __post_init__(self) -> None:
        for key in ("temperature", "softplus_tau", "topk"):
            if not getattr(self, key) > 0:
                raise ConfigError(f"loss.{key}: must be greater than 0, is {getattr(self, key)}")
        for key in ("nce_alpha", "ant_beta", "gap_beta"):
            if not getattr(self, key) >= 0:
                raise ConfigError(f"loss.{key}: must be 0 or greater, is {getattr(self, key)}")
        if self.hard_negative_ratio is not None and not 0 < self.hard_negative_ratio <= 1:
            raise ConfigError(f"loss.hard_negative_ratio: must lie in (0, 1] or be null, is {self.hard_negative_ratio}")
        if self.nce_alpha == 0 and self.ant_beta == 0:
            raise ConfigError("loss.nce_alpha and loss.ant_beta are both 0: there is nothing to train on")

    @classmethod
    def of(cls, cfg: LossConfig) -> "LossSettings":
        """`cfg` with nulls replaced by the defaults of the schema. Raises ConfigError for values out of range."""
        defaults = LossConfig()
        values = {}
        for field in fields(cls):
            value = getattr(cfg, field.name)
            values[field.name] = getattr(defaults, field.name) if value is None else value
        return cls(**values)
