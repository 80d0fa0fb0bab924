"""Further tables: expectations, published figures, and which runs count."""

from collections.abc import Sequence

from cil.report.document import Table
from cil.report.expect import Outcome
from cil.report.figures import ACCURACIES, COSTS, figure_of
from cil.report.groups import Problem
from cil.report.reference import Reference, closest, difference_text
from cil.report.runs import Excluded
from cil.report.sections import cell


def expectation_table(outcomes: Sequence[Outcome]) -> Table:
    """Each expectation: met, not met or not measured."""
    rows = [
        [o.experiment, o.expectation.text, o.group, o.expectation.rule, o.measured, o.state.upper()] for o in outcomes
    ]
    header = ["experiment", "expected", "group", "rule", "measured", "outcome"]
    note = (
        "Expectations of an experiment (conf/expect) were written down before its runs; those of --expect are the "
        "reader's. A comparison with another group is met only if the whole 95 % interval of the paired differences is "
        "as expected."
    )
    return Table("Expectations", header, rows, left=5, note=note)


def reference_table(problem: Problem, reference: Reference) -> Table | None:
    """Own groups beside the published ones of the same data set and split."""
    published = reference.for_problem(problem)
    if not published:
        return None
    figures = (*ACCURACIES, *COSTS)
    rows = []
    for group in problem.groups:
        rows.append([group.label, "", str(len(group.runs)), *(cell(figure, group) for figure in figures)])
        nearest, keys = closest(group, published)
        for one in nearest:
            shown = f"minus published: {one.label}"
            differs = f"differs in {', '.join(keys)}" if keys else "same settings, as far as published"
            rows.append([shown, differs, "", *(difference_text(group, one, figure.key) for figure in figures)])
    for one in published:
        summaries = [(figure, one.summary(figure.key)) for figure in figures]
        cells = [
            figure.show(s.mean) + ("" if s.deviation is None else f" ± {figure.show(s.deviation)}")
            for figure, s in summaries
        ]
        rows.append([f"published: {one.label}", "", str(len(one.seeds)), *cells])
    header = ["group", "", "n", *(figure.title.replace(" (%)", "") for figure in figures)]
    note = f"{reference.title}. {reference.note} Differences of means, not paired: other machines and random numbers."
    return Table("Beside published figures", header, rows, left=2, note=note, sortable=False)


def runs_table(problems: Sequence[Problem]) -> Table:
    """The runs that count, with links to their folders."""
    rows, links = [], []
    for problem in problems:
        for group in problem.groups:
            for run in group.runs.values():
                commit = str(run.result.get("git_commit") or "")[:10]
                average = figure_of("incremental_avg_top1").show(run.accuracies.get("incremental_avg_top1"))
                rows.append([str(run.path), group.label, str(run.seed), average, commit])
                links.append(run.path)
    header = ["run", "group", "seed", "average", "commit"]
    return Table("Runs that count", header, rows, left=2, page_only=True, links=links)


def excluded_table(excluded: Sequence[Excluded]) -> Table:
    """The runs that do not count, and why."""
    rows = [[str(one.path), one.reason] for one in excluded]
    links = [one.path for one in excluded]
    return Table("Runs that do not count", ["run", "why"], rows, left=2, links=links)
