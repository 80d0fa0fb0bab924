"""Print how the share of active negatives grows with the ANT margin, as a Markdown table.

The active set {s > reference - margin} can only grow with the margin: a larger margin is less selective. Without
--embeddings the rows are synthetic: images of a few classes as noisy copies of random class directions, two views
of each. The shares depend on how similar the negatives are, their order does not.

    python scripts/margin_selectivity.py
    python scripts/margin_selectivity.py --embeddings projections.npy --margins 0.1 0.3 0.5
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cil.config.schema import LossConfig, Negatives, Reference
from cil.losses.base import make_loss
from cil.seeding import generator

MARGINS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
CLASS_SPREAD = 1.5
VIEW_SPREAD = 0.5


def synthetic_rows(images: int, width: int, classes: int, seed: int) -> Tensor:
    """Two views [2B, D] of B images: class direction + image noise, each view with a little noise of its own.

    Noise has a length of CLASS_SPREAD and VIEW_SPREAD in units of the class direction.
    """
    stream = generator(seed, "margin_selectivity")
    directions = torch.randn(classes, width, generator=stream)
    labels = torch.randint(classes, (images,), generator=stream)
    images_rows = directions[labels] + CLASS_SPREAD * torch.randn(images, width, generator=stream)
    return images_rows.repeat(2, 1) + VIEW_SPREAD * torch.randn(2 * images, width, generator=stream)


def shares(rows: Tensor, margins: Sequence[float], reference: Reference) -> list[tuple[float, float, float]]:
    """(margin, share of active negatives, active negatives per anchor) for rows [2B, D] against themselves."""
    loss = make_loss(LossConfig(nce_alpha=0.0, negatives=Negatives.first_view, reference=reference))
    with torch.no_grad():
        stats = [loss(rows, rows, margin).stats for margin in margins]
    return [
        (margin, stat["violation_rate"].value.item(), stat["active_count"].value.item())
        for margin, stat in zip(margins, stats, strict=True)
    ]


def table(rows: Tensor, margins: Sequence[float]) -> str:
    """The Markdown table of both references."""
    by_anchor = shares(rows, margins, Reference.anchor)
    by_block = shares(rows, margins, Reference["global"])
    lines = [
        "| margin | active, reference=anchor | negatives per anchor | active, reference=global |",
        "|---:|---:|---:|---:|",
    ]
    for (margin, share, count), (_, global_share, _) in zip(by_anchor, by_block, strict=True):
        lines.append(f"| {margin:g} | {100 * share:.1f} % | {count:.1f} | {100 * global_share:.1f} % |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table of the synthetic rows, or of those in a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--embeddings", type=Path, help=".npy file with rows [2B, D], view 1 first")
    parser.add_argument("--margins", type=float, nargs="+", default=MARGINS)
    parser.add_argument("--images", type=int, default=128, help="synthetic images a batch")
    parser.add_argument("--width", type=int, default=128, help="width of the synthetic embeddings")
    parser.add_argument("--classes", type=int, default=10, help="synthetic classes")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    if args.embeddings is None:
        rows = synthetic_rows(args.images, args.width, args.classes, args.seed)
    else:
        rows = torch.from_numpy(np.load(args.embeddings))
    print(table(rows, args.margins))


if __name__ == "__main__":
    main()
