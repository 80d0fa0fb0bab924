"""A panel drawn on axes of its own, for tests that look at what is on them."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cil.report.plots.canvas import Hover, Panel


def drawn(panel: Panel) -> tuple[Axes, list[Hover]]:
    axes = Figure(figsize=(4, 3)).subplots()
    return axes, panel.draw(axes, True)


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]
