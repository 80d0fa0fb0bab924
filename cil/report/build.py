"""From the request to the finished document."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cil.config.identity import NOT_IN_IDENTITY
from cil.report.branches import branch_notes, branch_warnings
from cil.report.charts import charts, margin_panels, matrices
from cil.report.compare import VariantComparison
from cil.report.document import Document, Heading, Paragraph, Table
from cil.report.errors import ReportError
from cil.report.expect import ExpectationFile, evaluate, expectation_files
from cil.report.fairness import check_mixtures, code_notes, factor_of, without_effect
from cil.report.groups import Problem, choose_baselines, make_problems
from cil.report.reference import Reference, read_reference
from cil.report.runs import Excluded, Found, find_runs
from cil.report.sections import add_problem, excluded_table, expectation_table, reference_table, runs_table


@dataclass(frozen=True)
class Request:
    """What the report is asked for."""

    paths: Sequence[Path]
    baseline: str | None = None
    factors: Sequence[str] = ()
    allowed: frozenset[str] = frozenset()
    expect: Sequence[str] = ()
    reference: Path | None = None
    tags: frozenset[str] = frozenset()
    """Only runs that have all of them."""


@dataclass
class Report:
    """The document, and what the tables for other programs are made from."""

    document: Document = field(default_factory=Document)
    problems: list[Problem] = field(default_factory=list)
    comparisons: list[Sequence[VariantComparison]] = field(default_factory=list)
    """Those of each problem, in the order of `problems`."""
    excluded: list[Excluded] = field(default_factory=list)


def build(request: Request) -> Report:
    """Read, check, compare and lay out. Raises ReportError."""
    found = find_runs(request.paths, request.tags)
    report = Report()
    report.problems, duplicates = make_problems(found.runs)
    report.excluded = [*found.excluded, *duplicates]
    warnings = check_mixtures(report.problems, request.allowed)
    choose_baselines(report.problems, request.baseline)
    reference = read_reference(request.reference) if request.reference else None
    files = expectation_files(report.problems, request.expect)
    _check_factors(report.problems, request.factors)
    _lay_out(report, request, found, warnings, (reference, files))
    return report


def _check_factors(problems: Sequence[Problem], factors: Sequence[str]) -> None:
    keys = {key for problem in problems for group in problem.groups for key in group.settings}
    valid = keys | {key.partition(".")[0] for key in keys} | {key.rpartition(".")[2] for key in keys}
    for factor in factors:
        if factor not in valid and problems:
            raise ReportError(f"--factor: {factor!r} is no key of these runs")
        if factor in NOT_IN_IDENTITY:
            raise ReportError(f"--factor: {factor} changes no result, so it is no factor")


def _lay_out(
    report: Report,
    request: Request,
    found: Found,
    warnings: Sequence[str],
    extra: tuple[Reference | None, Sequence[ExpectationFile]],
) -> None:
    document = report.document
    count = sum(len(problem.runs) for problem in report.problems)
    document.add(Heading("Report" if count != 1 else "Report of one run", 1))
    places = ", ".join(str(path) for path in request.paths)
    lost = f"; {len(report.excluded)} do not count (listed below)" if report.excluded else ""
    document.add(Paragraph(f"{count} run{'s' if count != 1 else ''} under {places}{lost}.", "note"))
    body = Document()
    unfair = []
    for problem in report.problems:
        unfair += _problem(body, report, request, problem, extra)
    effects = [f"{problem.title}: {text}" for problem in report.problems for text in without_effect(problem)]
    sweeps = [str(text) for sweep in found.sweeps for text in sweep.get("warnings") or []]
    chosen = [text for problem in report.problems for text in problem.warnings]
    shared = [text for problem in report.problems for text in branch_warnings(problem)]
    document.texts([*dict.fromkeys([*sweeps, *effects, *warnings, *chosen, *unfair, *shared])], "warning")
    notes = [note for problem in report.problems for note in (*code_notes(problem), *branch_notes(problem))]
    document.texts(notes, "note")
    if len(report.problems) > 1:
        text = f"{len(report.problems)} problems (data set and tasks); figures of different ones are never compared."
        document.add(Paragraph(text, "note"))
    document.add(*body.blocks)
    if report.excluded:
        document.add(Heading("Excluded"), excluded_table(report.excluded))
    if count:
        document.add(Heading("Sources", page_only=True), runs_table(report.problems))


def _problem(
    body: Document,
    report: Report,
    request: Request,
    problem: Problem,
    extra: tuple[Reference | None, Sequence[ExpectationFile]],
) -> list[str]:
    """Lay out one problem; returns its warnings of unfair comparisons."""
    reference, files = extra
    factor, factor_text = factor_of(problem, request.factors)
    comparisons = add_problem(body, problem, factor, factor_text)
    report.comparisons.append(comparisons)
    outcomes = evaluate(problem, files, [Path(text).stem for text in request.expect], factor)
    if outcomes:
        body.add(expectation_table(outcomes))
    table: Table | None = reference_table(problem, reference) if reference else None
    if table is not None:
        body.add(table)
    elif reference is not None:
        body.add(Paragraph("No published figures for this data set and split in the reference file.", "note"))
    body.add(Heading("Curves", 3, True), *charts(problem))
    if panels := margin_panels(problem):
        text = (
            "Contrast branch, training images; means over seeds with ± one deviation; dotted verticals: ends of tasks. "
            "A loss without margin shows the one its statistics are measured with."
        )
        body.add(Heading("Gap and margin over the epochs", 3, True), Paragraph(text, "note", True), *panels)
    text = "Top-1 in per cent, classifier, test images."
    body.add(Heading("Accuracy matrices", 3, True), Paragraph(text, "note", True), *matrices(problem))
    return _unfair(problem, comparisons)


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
