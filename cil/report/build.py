"""From the request to the finished document."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cil.config.identity import NOT_IN_IDENTITY
from cil.config.names import nearest
from cil.report.across import across_problems, published
from cil.report.baseline import choose_baselines
from cil.report.batches import batch_table, batch_warnings, pairs_by_batch
from cil.report.branches import branch_notes, branch_warnings
from cil.report.compare import VariantComparison, compare
from cil.report.conclusion import conclude
from cil.report.document import Document, Heading, Links, Paragraph
from cil.report.drawings import first_drawings, further_drawings
from cil.report.errors import ReportError
from cil.report.evaluated import evaluation_notes, evaluation_table
from cil.report.expect import ExpectationFile, evaluate, expectation_files
from cil.report.factorial import factorial_table
from cil.report.fairness import chance_warnings, code_notes, factor_of, primary_figure, twin_notes, without_effect
from cil.report.groups import Problem, make_problems
from cil.report.labels import relabel
from cil.report.lists import excluded_table, expectation_table, reference_table, runs_table
from cil.report.mechanism import operator_table, own_table
from cil.report.mixtures import check_mixtures
from cil.report.observations import read_observations
from cil.report.reference import Reference, read_reference
from cil.report.runs import Excluded, Found, find_runs
from cil.report.sections import add_tables, compared_keys, ranked
from cil.report.settings import CUT, ORDER_KEYS
from cil.report.title import title_of


@dataclass(frozen=True)
class Request:
    """What the report is asked for."""

    paths: Sequence[Path]
    baseline: str | None = None
    factors: Sequence[str] = ()
    allowed: frozenset[str] = frozenset()
    expect: Sequence[str] = ()
    reference: Path | None = None
    observations: str | None = None
    """Name of the published observations that are shown too (observations.py)."""
    labels: str | None = None
    """See labels.py."""
    made: str = ""
    """When and by which command, for the head of the page."""
    tags: frozenset[str] = frozenset()
    """Only runs that have all of them."""


@dataclass
class Report:
    """The document, and what the tables for other programs are made from."""

    document: Document = field(default_factory=Document)
    found: Found = field(default_factory=Found)
    problems: list[Problem] = field(default_factory=list)
    comparisons: list[Sequence[VariantComparison]] = field(default_factory=list)
    """Those of each problem, in the order of `problems`, the best variant first."""
    excluded: list[Excluded] = field(default_factory=list)


@dataclass(frozen=True)
class _Extra:
    """What stands beside the runs."""

    reference: Reference | None
    files: Sequence[ExpectationFile]


def build(request: Request) -> Report:
    """Read, check, compare and lay out. Raises ReportError."""
    report = Report(found=find_runs(request.paths, request.tags))
    problems, duplicates = make_problems(report.found.runs)
    report.problems, warnings, refused = check_mixtures(problems, request.allowed)
    report.excluded = [*report.found.excluded, *duplicates, *refused]
    choose_baselines(report.problems, request.baseline)
    reference = read_reference(request.reference) if request.reference else None
    extra = _Extra(reference, expectation_files(report.problems, request.expect))
    _check_factors(report.problems, request.factors)
    if request.labels:
        relabel(report.problems, request.labels)
    _lay_out(report, request, warnings, extra)
    return report


def _check_factors(problems: Sequence[Problem], factors: Sequence[str]) -> None:
    keys = {key for problem in problems for group in problem.groups for key in group.settings}
    valid = keys | {key.partition(".")[0] for key in keys} | {key.rpartition(".")[2] for key in keys}
    for factor in factors:
        if factor in NOT_IN_IDENTITY:
            raise ReportError(f"--factor: {factor} changes no result, so it is no factor")
        if factor in (CUT, CUT.rpartition(".")[2]):
            raise ReportError(f"--factor: {factor} makes runs of another number of tasks, which are not compared")
        if factor in ("seed", *ORDER_KEYS):
            raise ReportError(f"--factor: {factor} is what runs are paired by, so it is no factor")
        if factor not in valid and problems:
            close = nearest(factor, sorted(valid))
            hint = f"; did you mean {close}?" if close else ""
            raise ReportError(f"--factor: {factor!r} is no key of these runs{hint}")


def _lay_out(report: Report, request: Request, warnings: Sequence[str], extra: _Extra) -> None:
    """The answers, what there is to beware of, then one section for each problem."""
    document, problems = report.document, report.problems
    body = Document()
    answers, unfair = [], []
    for problem in problems:
        answer, comparisons = _problem(body, report, request, problem, extra)
        answers.append(answer if len(problems) == 1 else f"{problem.title}: {answer}")
        unfair += _unfair(problem, comparisons)
        unfair += batch_warnings(problem, pairs_by_batch(problem, comparisons, primary_figure(problem)[0]))
    _head(report, request)
    document.texts(answers, "conclusion")
    effects = [f"{problem.title}: {text}" for problem in problems for text in without_effect(problem)]
    sweeps = [str(text) for sweep in report.found.sweeps for text in sweep.get("warnings") or []]
    chosen = [text for problem in problems for text in problem.warnings]
    shared = [text for problem in problems for text in branch_warnings(problem)]
    failed = [text for problem in problems for text in chance_warnings(problem)]
    document.texts([*dict.fromkeys([*failed, *sweeps, *effects, *warnings, *chosen, *unfair, *shared])], "warning")
    document.add(*body.blocks, *across_problems(problems))
    if request.observations:
        document.add(*published(read_observations(request.observations)))
    if report.excluded:
        document.add(Heading("Excluded"), excluded_table(report.excluded))
    if problems:
        document.add(Heading("Sources", page_only=True), runs_table(problems))


def _head(report: Report, request: Request) -> None:
    """Title, what was read, and links to it."""
    document, problems = report.document, report.problems
    if not request.paths and request.observations:
        document.add(Heading(f"Published observations: {request.observations}", 1))
        return
    document.add(Heading(title_of(problems), 1))
    if request.made:
        document.add(Paragraph(request.made, "head", page_only=True))
    count = sum(len(problem.runs) for problem in problems)
    places = ", ".join(str(path) for path in request.paths)
    out = len(report.excluded)
    lost = f"; {out} more {'does' if out == 1 else 'do'} not count (listed below)" if out else ""
    document.add(Paragraph(f"{count} run{'s' if count != 1 else ''} under {places}{lost}.", "note"))
    if len(problems) > 1:
        text = f"{len(problems)} problems (data set and tasks); figures of different ones are never compared."
        document.add(Paragraph(text, "note"))
    runs = [(group, run) for problem in problems for group in problem.groups for run in group.runs.values()]
    folders = [(f"{group.label}, seed {run.seed}", run.path) for group, run in runs]
    document.add(Links("Run folders", [(str(path), path) for path in request.paths] + folders))


def _problem(
    body: Document, report: Report, request: Request, problem: Problem, extra: _Extra
) -> tuple[str, Sequence[VariantComparison]]:
    """Lay out one problem; returns its conclusion and its comparisons."""
    factor, factor_text = factor_of(problem, request.factors)
    key, _ = primary_figure(problem)
    comparisons = ranked(compare(problem, compared_keys(problem), factor), key)
    report.comparisons.append(comparisons)
    prefix = len(report.problems) > 1
    body.add(Heading(problem.title))
    body.add(*first_drawings(problem, comparisons, prefix))
    add_tables(body, problem, comparisons, factor_text)
    if batches := batch_table(problem, pairs_by_batch(problem, comparisons, key), key):
        body.add(batches)
    if factors := factorial_table(problem, compared_keys(problem)[:3]):
        body.add(factors)
    told = (twin_notes, code_notes, branch_notes)
    body.texts([note for tell in told for note in tell(problem)], "note")
    outcomes = evaluate(problem, extra.files, [Path(text).stem for text in request.expect], factor)
    if outcomes:
        body.add(expectation_table(outcomes))
    if extra.reference:
        table = reference_table(problem, extra.reference)
        none = Paragraph("No published figures for this data set and split in the reference file.", "note")
        body.add(table or none)
    for table in (operator_table(problem), own_table(problem)):
        if table is not None:
            body.add(table)
    if evaluated := evaluation_table(problem):
        body.add(evaluated)
        body.texts(evaluation_notes(problem), "note")
    body.add(*further_drawings(problem, prefix))
    return conclude(problem, comparisons, key), comparisons


def _unfair(problem: Problem, comparisons: Sequence[VariantComparison]) -> list[str]:
    by_keys: dict[str, list[str]] = defaultdict(list)
    for comparison in comparisons:
        if comparison.beyond:
            by_keys["; ".join(comparison.beyond)].append(comparison.variant.label)
    return [
        f"{problem.title}: not a fair comparison with the baseline: {', '.join(labels)}. Beyond the factor, they also "
        f"differ in {keys}."
        for keys, labels in by_keys.items()
    ]
