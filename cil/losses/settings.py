"""The settings of the contrastive losses with every null filled in, and the ranges of the schema checked."""

from dataclasses import dataclass, fields

from cil.config.keys import facts_of
from cil.config.schema import Formulation, LossConfig, Negatives, Prototypes, Reference
from cil.errors import ConfigError


@dataclass(frozen=True)
class LossSettings:
    """LossConfig without nulls: a key the chosen loss does not train with still has a part in its statistics.

    `hard_negative_ratio` and `chunk_rows` alone may be None (off). The fields are documented in cil/config/schema.py.
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
    prototypes: Prototypes
    prototype_weight: float
    prototype_delta: float
    chunk_rows: int | None

    def __post_init__(self) -> None:
        for field in fields(LossConfig):
            rule, value = facts_of(field).get("rule"), getattr(self, field.name, None)
            if rule is not None and value is not None and not rule.test(value):
                raise ConfigError(f"loss.{field.name}: {rule.text}, is {value}")
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
