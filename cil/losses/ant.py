"""InfoNCE with the enhanced ANT bracket: nce_alpha * InfoNCE + ant_beta * (ANT + gap_beta * gap term).

docs/losses.md says what is known about each setting.
"""

from cil.config.schema import LossConfig
from cil.losses.gap import gap_term
from cil.losses.nce import info_nce
from cil.losses.prototypes import further_negatives, repel_term
from cil.losses.settings import LossSettings
from cil.losses.similarity import Comparison
from cil.losses.statistics import Terms
from cil.losses.violations import ant_term


class Ant:
    """InfoNCE, ANT and the gap term over one shared similarity matrix. It does not use labels.

    A term of weight 0 is left out, not multiplied by 0: 0 * inf would be NaN.
    """

    over_anchors = True

    def __init__(self, settings: LossSettings) -> None:
        self.settings = settings
        self.weights = {
            "nce": settings.nce_alpha,
            "ant": settings.ant_beta * settings.ant_term,
            "gap": settings.ant_beta * settings.gap_beta,
        }

    def __call__(self, compared: Comparison) -> Terms:
        """See cil.losses.base.Formula."""
        settings, weights, pairs = self.settings, self.weights, compared.pairs
        further = further_negatives(compared, settings)
        nce = info_nce(compared.similarity, settings.temperature, further, compared.first) if weights["nce"] else None
        ant = ant_term(pairs.negatives, compared.margin, settings, compared.whole) if weights["ant"] else None
        gap = gap_term(pairs, settings.gap_target, compared.whole) if weights["gap"] else None
        values = {"nce": nce, "ant": None if ant is None else ant.value, "gap": gap}
        parts = {name: weights[name] * value for name, value in values.items() if value is not None}
        if (repel := repel_term(compared, settings)) is not None:
            parts["repel"] = settings.prototype_weight * repel
        return Terms(parts, nce, ant, gap)


def build(cfg: LossConfig) -> Ant:
    """The formula of `loss.name=ant`. Raises ConfigError for settings out of range, or if both weights are 0."""
    return Ant(LossSettings.of(cfg))
