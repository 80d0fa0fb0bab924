"""Two runs side by side: `python -m cil.report diff A B`."""

from pathlib import Path

from cil.config.parts import FIRST
from cil.report.document import Document, Heading, Paragraph, Table
from cil.report.errors import ReportError
from cil.report.figures import ACCURACIES, COSTS, DYNAMICS, SIZES, UNPRUNED, figure_of, figure_value
from cil.report.runs import Excluded, Run, code_version, read_run
from cil.report.settings import ABSENT, differing, follows, show_setting


def diff_document(first: Path, second: Path) -> Document:
    """Differing settings, facts and figures. Raises ReportError for a path that is no finished run."""
    a, b = _finished(first), _finished(second)
    document = Document()
    document.add(Heading("Two runs", 1), Paragraph(f"A: {a.path}"), Paragraph(f"B: {b.path}"))
    rows = []
    for key in differing(a.settings, b.settings):
        note = "unused by one of them" if follows(key, a.settings, b.settings) else ""
        rows.append([key, *(show_setting(run.settings.get(key, ABSENT)) for run in (a, b)), note])
    document.add(Table("Settings that differ", ["key", "A", "B", ""], rows, left=4))
    if not rows:
        document.add(Paragraph("Their settings are equal."))
    facts = [[name, x, y] for name, x, y in zip(*_facts(a, b), strict=True) if x != y]
    document.add(Table("Facts that differ", ["", "A", "B"], facts, left=3))
    document.add(_figures(a, b))
    return document


def _finished(path: Path) -> Run:
    if not (path / "status.json").is_file() and not (path / "result.json").is_file():
        raise ReportError(f"{path}: is no run (no result.json or status.json in it)")
    run = read_run(path)
    if isinstance(run, Excluded):
        raise ReportError(f"{path}: cannot be compared: {run.reason}")
    return run


def _facts(a: Run, b: Run) -> tuple[list[str], list[str], list[str]]:
    names = ["class order", "versions of parts", "commit", "torch", "device", "CPU threads", "host", "parameters"]
    columns = [
        [
            run.order,
            _versions(run),
            str(run.result.get("git_commit")),
            str((run.result.get("versions") or {}).get("torch")),
            str((run.result.get("device") or {}).get("name")),
            ", ".join(map(str, (run.result.get("device") or {}).get("thread_counts") or "?")),
            str(run.status.get("host")),
            str(run.result.get("parameters")),
        ]
        for run in (a, b)
    ]
    return names, columns[0], columns[1]


def _versions(run: Run) -> str:
    """Versions of the parts that are not at their first one."""
    raised = [f"{part} {version}" for part, version in code_version(run).items() if version != FIRST]
    return ", ".join(raised) or f"all {FIRST}"


def _figures(a: Run, b: Run) -> Table:
    known = (*ACCURACIES, *DYNAMICS, *SIZES, *UNPRUNED, *COSTS)
    shown = [*known, *(figure_of(key) for key in a.accuracies if key not in {figure.key for figure in known})]
    rows = []
    for figure in shown:
        values = [figure_value(run, figure.key) for run in (a, b)]
        if any(value is not None for value in values):
            change = None if None in values else values[1] - values[0]  # type: ignore[operator]
            name = figure.title if figure in known else figure.key
            rows.append([name, *(figure.show(value) for value in values), figure.show(change, signed=True)])
    return Table("Figures", ["", "A", "B", "B - A"], rows)
