"""Several protocols in one comparison: mean ranks over blocks, and how much single blocks and seeds decide.

A protocol is a problem of the report (data set and tasks), or one of published observations.
"""

from collections.abc import Sequence
from statistics import mean, stdev

from cil.report.blocks import (
    Block,
    Friedman,
    LeftOut,
    Values,
    complete,
    friedman,
    leave_one_block_out,
    leave_one_seed_out,
    mean_difference,
    protocol_means,
)
from cil.report.compare import p_text
from cil.report.document import Block as Part
from cil.report.document import Drawing, Heading, Paragraph, Table
from cil.report.figures import figure_value
from cil.report.groups import Problem
from cil.report.observations import Observations
from cil.report.plots.ranks import rank_plot

FIGURE = "incremental_avg_top1"
FAR = 2.5
"""Standard deviations from which a treatment's runs of one seed stand apart from the others."""


def across_problems(problems: Sequence[Problem]) -> list[Part]:
    """Of settings that several problems have in common; empty where there are fewer than three of them.

    Blocks are pairs of problem and seed in which every one of the settings was run.
    """
    rows: dict[Block, dict[str, float]] = {}
    for problem in problems:
        for group in problem.groups:
            if group.twin is None:
                for (seed, order), run in group.runs.items():
                    value = figure_value(run, FIGURE)
                    if value is not None:
                        rows.setdefault((problem.title, f"{seed} ({order})"), {})[group.spoken] = value
    protocols = {protocol for protocol, _ in rows}
    by_protocol = [{name for (p, _), row in rows.items() if p == protocol for name in row} for protocol in protocols]
    common = [name for row in rows.values() for name in row if all(name in names for names in by_protocol)]
    treatments = list(dict.fromkeys(common))
    values = complete(rows, treatments)
    if len(protocols) < 2 or len(treatments) < 3 or len({protocol for protocol, _ in values}) < 2:
        return []
    bases = {problem.baseline.spoken for problem in problems if problem.baseline is not None}
    baseline = next((name for name in treatments if name in bases), treatments[0])
    return [Heading("Over all problems"), *_parts(values, baseline, "across")]


def published(observations: Observations, baseline: str = "infonce") -> list[Part]:
    """The same of published observations."""
    count = len(observations.values)
    text = (
        f"Published observations {observations.name}: {count} blocks (protocol and seed) of "
        f"{len(observations.treatments)} treatments, incremental average top-1 in per cent. "
        "Facts of other people's runs, not of yours."
    )
    return [
        Heading(f"Published: {observations.name}"),
        Paragraph(text, "note"),
        *_parts(observations.values, baseline, observations.name),
    ]


def _parts(values: Values, baseline: str, name: str) -> list[Part]:
    seeds = friedman(values)
    means = friedman(protocol_means(values))
    if seeds is None:
        return []
    parts: list[Part] = [Paragraph(text) for text in _conclusions(values, baseline, seeds, means)]
    parts += [Paragraph(text, "warning") for text in seed_warnings(values)]
    plot = rank_plot(seeds, f"ranks-{name}")
    caption = "Mean rank over blocks, 1 the best; treatments joined by a bar are not told apart (Nemenyi, 5 %)."
    return [*parts, _table(values, baseline, seeds), Drawing("Mean ranks", plot, caption)]


def _conclusions(values: Values, baseline: str, seeds: Friedman, means: Friedman | None) -> list[str]:
    told = "differ" if seeds.p < 0.05 else "are not shown to differ"
    text = (
        f"{len(seeds.ranks)} treatments over {seeds.blocks} blocks {told}: Friedman's χ² = {seeds.chi2:.2f}, "
        f"p = {p_text(seeds.p)}"
    )
    if means is not None:
        text += f"; over the {means.blocks} means of protocols, whose seeds are not independent, p = {p_text(means.p)}"
    best = max(seeds.ranks, key=lambda name: mean_difference(values, name, baseline))
    apart = abs(seeds.ranks[best] - seeds.ranks[baseline])
    return [
        f"{text}.",
        f"Largest mean difference to {baseline}: {best}, {_spread(values, best, baseline)} points; their mean ranks "
        f"are {apart:.2f} apart, the critical distance is {seeds.critical:.2f}.",
    ]


def seed_warnings(values: Values) -> list[str]:
    """Treatments whose runs of one seed stand apart from all others: runs of another batch, perhaps.

    A treatment's runs of a seed stand `FAR` standard deviations from the mean of their blocks, averaged over protocols.
    """
    away: dict[tuple[str, object], list[float]] = {}
    for (_, seed), row in values.items():
        middle = mean(row.values())
        for name, value in row.items():
            away.setdefault((name, seed), []).append(value - middle)
    averages = {key: mean(found) for key, found in away.items()}
    spread = stdev(averages.values()) if len(averages) > 1 else 0.0
    return [
        f"{name} with seed {seed} lies {value:+z.2f} points from the mean of its blocks ({abs(value) / spread:.1f} "
        "standard deviations of all treatments and seeds): runs of other code or another machine (a batch effect)? See "
        "the differences without that seed."
        for (name, seed), value in averages.items()
        if spread > 0 and abs(value) >= FAR * spread
    ]


def _spread(values: Values, name: str, baseline: str) -> str:
    found = [row[name] - row[baseline] for row in values.values()]
    return f"{mean(found):+z.2f}" + (f" ± {stdev(found):.2f}" if len(found) > 1 else "")


def _table(values: Values, baseline: str, found: Friedman) -> Table:
    rows = []
    for name, rank in sorted(found.ranks.items(), key=lambda item: item[1]):
        own = name == baseline
        cells = ["", "", ""]
        if not own:
            cells = [
                _spread(values, name, baseline),
                _range(leave_one_block_out(values, name, baseline)),
                _range(leave_one_seed_out(values, name, baseline)),
            ]
        rows.append([name + (" (baseline)" if own else ""), f"{rank:.2f}", *cells])
    header = ["treatment", "mean rank", "Δ average", "without one block", "without one seed"]
    note = (
        f"Δ average: difference to {baseline}, mean ± sample standard deviation over {found.blocks} blocks; then the "
        "lowest and the highest mean when one block, or one seed in all protocols, is left out, and which. "
        f"Critical distance of mean ranks: {found.critical:.2f} (Nemenyi, 5 %)."
    )
    return Table("Ranks over blocks", header, rows, note=note)


def _range(left: LeftOut) -> str:
    if left.low is None or left.high is None:
        return ""
    (low, low_name), (high, high_name) = left.low, left.high
    return f"{low:+z.2f} ({low_name}) to {high:+z.2f} ({high_name})"
