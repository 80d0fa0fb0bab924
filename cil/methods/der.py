"""DER: Dynamically Expandable Representation (Yan et al., CVPR 2021, arXiv 2103.16788), without pruning."""

from cil.methods.expanding import ExpandingMethod

USES = ("memory",)
PUBLISHED = {"optimizer.inc_milestones": [80, 120, 150]}


class DER(ExpandingMethod):
    """One backbone a task, started from the weights of the one before; earlier ones are frozen.

    The new rows of the classifier are aligned after the task, where the paper retrains the classifier on a balanced
    set; its channel masks are left out.
    """


METHOD = DER
