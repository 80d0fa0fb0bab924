"""The critical-distance diagram (Demsar 2006): mean ranks on a line, and bars over what cannot be told apart."""

from typing import TYPE_CHECKING

from cil.report.blocks import Friedman
from cil.report.plots.canvas import INK, MUTED, Hover, Panel, Plot, style_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDE = 6.4


def rank_plot(found: Friedman, name: str) -> Plot:
    """One panel."""
    ordered = sorted(found.ranks.items(), key=lambda item: item[1])
    groups = alike(found)

    def draw(axes: "Axes", _first: bool) -> list[Hover]:
        axes.set_xlabel("mean rank (1: best)")
        axes.set_yticks(range(len(ordered)), [label for label, _ in ordered])
        axes.set_ylim(len(ordered) - 0.4, -1.2 - 0.35 * len(groups))
        for i, (_label, rank) in enumerate(ordered):
            axes.plot([1, rank], [i, i], color=MUTED, linewidth=0.6, linestyle=(0, (1, 3)))
            axes.plot(rank, i, "o", color=style_of(1)["color"], markersize=5)
        for level, (low, high) in enumerate(groups):
            axes.plot([low, high], [-0.8 - 0.35 * level] * 2, color=INK, linewidth=3, solid_capstyle="butt")
        axes.set_xlim(0.7, len(ordered) + 0.3)
        points = [[rank, i, f"{label}: {rank:.2f}"] for i, (label, rank) in enumerate(ordered)]
        return [{"name": "mean rank", "points": points}]

    text = "; ".join(f"{label} {rank:.2f}" for label, rank in ordered)
    height = 1.0 + 0.2 * len(ordered) + 0.12 * len(groups)
    return Plot(name, [Panel(draw, height, f"Mean ranks: {text}; critical distance {found.critical:.2f}")], width=_WIDE)


def alike(found: Friedman) -> list[tuple[float, float]]:
    """The widest stretches of ranks within the critical distance, of at least two treatments each."""
    ranks = sorted(found.ranks.values())
    stretches: list[tuple[float, float]] = []
    for i, low in enumerate(ranks):
        high = max(rank for rank in ranks if rank - low <= found.critical)
        if ranks.index(high) > i and (not stretches or high > stretches[-1][1]):
            stretches.append((low, high))
    return stretches
