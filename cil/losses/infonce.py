"""InfoNCE alone, the baseline."""

from cil.config.schema import LossConfig
from cil.errors import ConfigError
from cil.losses.nce import info_nce
from cil.losses.prototypes import further_negatives, repel_term
from cil.losses.settings import LossSettings
from cil.losses.similarity import Comparison
from cil.losses.statistics import Terms


class InfoNCE:
    """nce_alpha * InfoNCE, with prototypes of old classes where they are wanted. It does not use labels."""

    over_anchors = True

    def __init__(self, settings: LossSettings) -> None:
        self.settings = settings

    def __call__(self, compared: Comparison) -> Terms:
        """See cil.losses.base.Formula."""
        settings = self.settings
        further = further_negatives(compared, settings)
        nce = info_nce(compared.similarity, settings.temperature, further, compared.first)
        parts = {"nce": settings.nce_alpha * nce}
        if (repel := repel_term(compared, settings)) is not None:
            parts["repel"] = settings.prototype_weight * repel
        return Terms(parts, nce=nce)


def build(cfg: LossConfig) -> InfoNCE:
    """The formula of `loss.name=infonce`. Raises ConfigError for settings out of range, or for a weight of 0."""
    settings = LossSettings.of(cfg)
    if settings.nce_alpha == 0:
        raise ConfigError("loss.nce_alpha: must be greater than 0 with loss=infonce, which has no other term")
    return InfoNCE(settings)
