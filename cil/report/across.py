"""Several protocols in one comparison: mean ranks over blocks, and how much single blocks and seeds decide.

A protocol is a problem of the report (data set and tasks), or one of published observations.
"""

from collections.abc import Hashable, Mapping, Sequence
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
from cil.report.compare import ALPHA, p_text
from cil.report.document import Block as Part
from cil.report.document import Drawing, Heading, Paragraph, Table
from cil.report.fairness import primary_figure
from cil.report.figures import figure_value
from cil.report.groups import Problem, group_text, shown_keys
from cil.report.observations import Observations
from cil.report.plots.ranks import rank_plot
from cil.report.settings import LOSS_FAMILY, covered

FAR = 3.0
"""Standard deviations from which a treatment's runs of one seed stand apart from its others."""
_FEWEST = 10


def across_problems(problems: Sequence[Problem]) -> list[Part]:
    """Of settings that several problems have in common; empty where there are none beside a baseline.

    Blocks are pairs of problem and seed in which every one of the settings was run. Ranked by validation images where
    all problems have some, by test images where none has; problems of both kinds are not ranked together.
    """
    figures = {primary_figure(problem)[0] for problem in problems}
    if len(problems) < 2 or len(figures) > 1:
        return []
    keys = _compared_keys(problems)
    rows: dict[Block, dict[str, float]] = {}
    for problem in problems:
        orders = {order for group in problem.groups for _, order in group.runs}
        for group in problem.groups:
            for (seed, order), run in group.runs.items() if group.twin is None else ():
                value = figure_value(run, next(iter(figures)))
                if value is not None:
                    block = Block(problem.title, seed, order if len(orders) > 1 else "")
                    rows.setdefault(block, {})[group_text(group, keys)] = value
    values = _common(rows)
    bases = [group_text(p.baseline.training, keys) for p in problems if p.baseline is not None]
    treatments = list(next(iter(values.values()), {}))
    baseline = next((name for name in treatments if name in bases), None)
    if baseline is None or len(treatments) < 2 or len({block.protocol for block in values}) < 2:
        return []
    return [Heading("Over all problems"), *_parts(values, baseline, "across")]


def _compared_keys(problems: Sequence[Problem]) -> list[str]:
    """Settings in which groups of one problem differ, and of loss and method those in which any two groups do.

    Two groups of different problems are one treatment where they agree in all of these. What data sets bring along
    (epochs, backbone, memory) is not among them.
    """
    within = {key for problem in problems for key in problem.keys}
    differing = shown_keys([group for problem in problems for group in problem.groups])
    return [key for key in differing if key in within or covered(key, _TREATMENT)]


_TREATMENT = (*LOSS_FAMILY, "method", "teacher")


def _common(rows: Mapping[Block, Mapping[str, float]]) -> dict[Block, dict[str, float]]:
    """The blocks that have every treatment which some block of each protocol has."""
    by_protocol: dict[str, set[str]] = {}
    for block, row in rows.items():
        by_protocol.setdefault(block.protocol, set()).update(row)
    shared = set.intersection(*by_protocol.values()) if by_protocol else set()
    return complete(rows, list(dict.fromkeys(name for row in rows.values() for name in row if name in shared)))


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
    seeds, means = friedman(values), friedman(protocol_means(values))
    parts: list[Part] = [Paragraph(text) for text in _conclusions(values, baseline, seeds, means)]
    parts += [Paragraph(text, "warning") for text in seed_warnings(values)]
    parts.append(_table(values, baseline, seeds))
    if seeds is not None:
        caption = "Mean rank over blocks, 1 the best; treatments joined by a bar are not told apart (Nemenyi, 5 %)."
        parts.append(Drawing("Mean ranks", rank_plot(seeds, f"ranks-{name}"), caption))
    return parts


def _conclusions(values: Values, baseline: str, seeds: Friedman | None, means: Friedman | None) -> list[str]:
    treatments = [name for name in next(iter(values.values())) if name != baseline]
    best = max(treatments, key=lambda name: mean_difference(values, name, baseline))
    largest = f"Largest mean difference to {baseline}: {best}, {_spread(values, best, baseline)} points"
    if seeds is None:
        return [f"{largest} (no test of ranks: it needs three treatments that differ)."]
    told = "differ" if seeds.p < ALPHA else "are not shown to differ"
    text = (
        f"{len(seeds.ranks)} treatments over {seeds.blocks} blocks {told}: Friedman's χ² = {seeds.chi2:.2f}, "
        f"p = {p_text(seeds.p)}"
    )
    if means is not None:
        text += f"; over the {means.blocks} means of protocols, whose seeds are not independent, p = {p_text(means.p)}"
    apart = abs(seeds.ranks[best] - seeds.ranks[baseline])
    return [
        f"{text}.",
        f"{largest}; their mean ranks are {apart:.2f} apart, the critical distance is {seeds.critical:.2f}.",
    ]


def seed_warnings(values: Values) -> list[str]:
    """Treatments whose runs of one seed do not fit their own runs of other seeds: runs of another batch, perhaps.

    A treatment's place with a seed is its mean distance from the means of the blocks, over protocols. It stands apart
    where it is `FAR` standard deviations from the treatment's mean over seeds, as all other places of treatments
    and seeds are spread around theirs. Needs three seeds and ten places; with fewer nothing is said.
    """
    found: dict[tuple[str, Hashable], list[float]] = {}
    for block, row in values.items():
        middle = mean(row.values())
        for name, value in row.items():
            found.setdefault((name, block.seed), []).append(value - middle)
    places = {key: mean(away) for key, away in found.items()}
    by_name: dict[str, list[float]] = {}
    for (name, _), place in places.items():
        by_name.setdefault(name, []).append(place)
    rest = {key: place - mean(by_name[key[0]]) for key, place in places.items()}
    if len(rest) < _FEWEST or min(map(len, by_name.values())) < 3:
        return []
    warnings = []
    for (name, seed), value in rest.items():
        spread = stdev([other for key, other in rest.items() if key != (name, seed)])
        if abs(value) > FAR * spread > 0:
            warnings.append(
                f"{name} with seed {seed} lies {value:+z.2f} points from where it is with the other seeds, measured "
                f"from the mean of its blocks ({abs(value) / spread:.1f} standard deviations): runs of other code or "
                "another machine (a batch effect)? See the differences without that seed."
            )
    return warnings


def _spread(values: Values, name: str, baseline: str) -> str:
    found = [row[name] - row[baseline] for row in values.values()]
    return f"{mean(found):+z.2f}" + (f" ± {stdev(found):.2f}" if len(found) > 1 else "")


def _table(values: Values, baseline: str, found: Friedman | None) -> Table:
    names = list(next(iter(values.values())))
    ranks = found.ranks if found is not None else {}
    rows = []
    for name in sorted(names, key=lambda name: (ranks.get(name, 0.0), -mean_difference(values, name, baseline))):
        own = name == baseline
        cells = ["", "", ""]
        if not own:
            cells = [
                _spread(values, name, baseline),
                _range(leave_one_block_out(values, name, baseline)),
                _range(leave_one_seed_out(values, name, baseline)),
            ]
        rank = f"{ranks[name]:.2f}" if name in ranks else ""
        rows.append([name + (" (baseline)" if own else ""), rank, *cells])
    header = ["treatment", "mean rank", "Δ average", "without one block", "without one seed"]
    note = (
        f"Δ average: difference to {baseline}, mean ± sample standard deviation over {len(values)} blocks; then the "
        "lowest and the highest mean when one block, or one seed in all protocols, is left out, and which."
    )
    if found is not None:
        note += f" Critical distance of mean ranks: {found.critical:.2f} (Nemenyi, 5 %)."
    return Table("Ranks over blocks", header, rows, note=note)


def _range(left: LeftOut) -> str:
    if left.low is None or left.high is None:
        return ""
    (low, low_name), (high, high_name) = left.low, left.high
    return f"{low:+z.2f} ({low_name}) to {high:+z.2f} ({high_name})"
