"""The files of a report."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from cil.report.build import Report
from cil.report.errors import ReportError
from cil.report.plots.canvas import FORMATS, paper_file
from cil.report.render_csv import curves_csv, groups_csv, runs_csv
from cil.report.render_html import drawings, page
from cil.report.render_latex import latex
from cil.report.render_text import markdown


def write(report: Report, formats: Sequence[str], out: Path, columns: Sequence[str] = ()) -> list[str]:
    """Write the report in each of the formats (html, markdown, csv, latex) into `out`; a line for each file.

    columns: see latex().

    Raises ReportError for a folder that cannot be written.
    """
    files: dict[str, Iterable[str]] = {}
    if "html" in formats:
        files["report.html"] = [page(report.document, out)]
    if "markdown" in formats:
        files["report.md"] = [markdown(report.document)]
    if "latex" in formats:
        files["report.tex"] = [latex(report.problems, report.comparisons, columns)]
    if "csv" in formats:
        files["report.csv"] = [groups_csv(report.problems, report.comparisons)]
        files["report_runs.csv"] = [runs_csv(report.found, report.problems)]
        files["report_curves.csv"] = curves_csv(report.problems)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, parts in files.items():
            with (out / name).open("w", encoding="utf-8") as file:
                file.writelines(parts)
    except OSError as error:
        raise ReportError(
            f"{out}: cannot be written: {error.strerror}; choose another place with --out DIR, or --format terminal"
        ) from None
    return [f"written: {out / name}" for name in files]


def write_figures(report: Report, folder: Path) -> str:
    """Write every figure of the page into `folder`, in each format for papers; what was written. Raises ReportError."""
    found = drawings(report.document)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for drawing in found:
            for kind in FORMATS:
                (folder / f"{drawing.plot.name}.{kind}").write_bytes(paper_file(drawing.plot, kind))
    except OSError as error:
        raise ReportError(f"{folder}: cannot be written: {error.strerror}") from None
    names = ", ".join(drawing.plot.name for drawing in found)
    return f"written: {folder}: {names} (each as {', '.join(FORMATS)})" if found else f"{folder}: no figure to write"
