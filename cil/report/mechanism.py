"""What `tracking.mechanism_every` has recorded: eight forms of ANT on the same similarities, and the runs' own loss.

All forms are looked at in every run, whatever its own loss, so their figures are means over all runs of a problem.
"""

from collections.abc import Sequence

from cil.report.document import Table
from cil.report.groups import Group, Problem
from cil.report.operators import BRANCHES, OPERATORS, mean_of, measured, over_runs
from cil.report.runs import Run

NETWORKS = ("ta_net", "projector", "predictor")
_OPERATOR_NOTE = (
    "All eight forms on the same similarity matrices of {runs} runs (a fixed batch a task), means over matrices, then "
    "over runs. active: share of an operator's negatives. own class: of the active, negatives of the anchor's own "
    "class (false negatives), and how many times their share of all negatives that is. reference of own class: of the "
    "references. raised: of the references, those whose similarity a step down the gradient raises, connected / "
    "detached. detached norm: norm of the gradient without, over that with gradient through the reference. cosine: "
    "with InfoNCE's gradient, over all similarities, connected → detached."
)
_OWN_NOTE = (
    "The run's own loss on the same batch. positive: softmax probability of the positive; above: negatives more "
    "similar than the positive; floor: ANT above the least value it can have, unweighted; ANT / InfoNCE: norms of the "
    "weighted gradients, and the cosine between them, in each network. Mean over matrices of a run, then over runs."
)


def operator_table(problem: Problem) -> Table | None:
    """One row for each of the four pairs of a connected and a detached operator; None where nothing was looked at."""
    runs = measured(problem)
    if not runs:
        return None
    header = [
        "operator",
        "active % (contrast / distill)",
        "own class %",
        "times",
        "reference of own class %",
        "raised %",
        "detached norm %",
        "cosine with InfoNCE",
    ]
    base = over_runs(runs, lambda run: mean_of(run, "own_class_share")).mean
    rows = []
    for operator in OPERATORS:

        def value(name: str, form: str = operator, branches: Sequence[str] = BRANCHES) -> float | None:
            return over_runs(runs, lambda run: mean_of(run, f"{form}/{name}", branches)).mean

        active = " / ".join(_share(value("active_share", branches=[branch])) for branch in BRANCHES)
        false, detached = value("false_negative_share"), f"{operator}_detached"
        raised = f"{_share(value('reference_raised'))} / {_share(value('reference_raised', detached))}"
        cosine = f"{_signed(value('cosine_nce'))} → {_signed(value('cosine_nce', detached))}"
        times = "" if not base or false is None else f"{false / base:.1f}"
        own = _share(value("own_class_reference"))
        rows.append([operator, active, _share(false), times, own, raised, _share(value("detached_norm")), cosine])
    note = _OPERATOR_NOTE.format(runs=len(runs))
    if base is not None:
        note += f" Share of the own class among all negatives: {100 * base:.2f} %."
    return Table("Mechanism: what each form of ANT does", header, rows, note=note)


def own_table(problem: Problem) -> Table | None:
    """One row for each group that was looked at."""
    looked = {id(run) for run in measured(problem)}
    rows = []
    networks: list[str] = []
    for network in NETWORKS:
        if any(mean_of(run, f"ant_over_nce/{network}") is not None for run in problem.runs):
            networks.append(network)
    for group in problem.groups:
        runs = [run for run in group.runs.values() if id(run) in looked]
        if runs:
            rows.append(_own_row(group, runs, networks))
    if not rows:
        return None
    header = ["group", "n", "positive", "above %", "floor", *(f"ANT / InfoNCE, {name}" for name in networks)]
    return Table("Mechanism: the runs' own loss", header, rows, note=_OWN_NOTE)


def _own_row(group: Group, runs: Sequence[Run], networks: Sequence[str]) -> list[str]:
    def value(name: str) -> float | None:
        return over_runs(runs, lambda run: mean_of(run, name)).mean

    norms = {network: value(f"ant_over_nce/{network}") for network in networks}
    trains = any(norm is not None for norm in norms.values())
    cells = [
        "" if norm is None else f"{100 * norm:.1f} %, cos {_signed(value(f'cosine/{name}'))}"
        for name, norm in norms.items()
    ]
    floor = "" if not trains else _number(value("ant_above_floor"))
    own = [_number(value("positive_probability")), _share(value("negatives_above_positive")), floor]
    return [group.label, str(len(runs)), *own, *cells]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:z.1f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:z.3f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+z.3f}"
