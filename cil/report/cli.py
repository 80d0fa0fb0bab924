"""The command line of the report."""

import argparse
import io
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from cil.command import exit_code
from cil.report.errors import ReportError
from cil.report.mixtures import ALLOWABLE
from cil.report.observations import shipped
from cil.report.reference import SHIPPED

FORMATS = ("terminal", "html", "markdown", "csv", "latex")
_DESCRIPTION = "Tables, comparisons and one HTML page from runs. PATH: a run, a sweep, or any folder above them."
_EPILOG = "python -m cil.report diff A B shows in which settings and figures two runs differ. See docs/report.md."


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 no run is finished, 2 a wrong argument or path, or runs that must not be mixed."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Unicode still gets its table
    work = (lambda: _diff(arguments[1:])) if arguments[:1] == ["diff"] else (lambda: _report(arguments))
    return exit_code(work, (ReportError, "report", 2))


class _Parser(argparse.ArgumentParser):
    """Reports a wrong argument like every other error."""

    def error(self, message: str) -> NoReturn:
        raise ReportError(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser("python -m cil.report", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("paths", nargs="*", metavar="PATH", type=Path, help="runs, sweeps, or folders above them")
    parser.add_argument(
        "--baseline", metavar="WHICH", help="name of the baseline, or its settings: loss=ant ant_margin=0.1"
    )
    parser.add_argument("--factor", metavar="KEY", action="append", default=[], help="what the comparison is about")
    parser.add_argument(
        "--allow",
        metavar="WHAT",
        nargs="?",
        const="all",
        action="append",
        default=[],
        help=f"average runs that differ in {', '.join(ALLOWABLE)} (comma-separated; without a value: all of them)",
    )
    parser.add_argument(
        "--tag", metavar="TAG", action="append", default=[], help="only runs with this tag (given twice: with both)"
    )
    parser.add_argument("--expect", metavar="FILE", action="append", default=[], help="judge these expectations too")
    parser.add_argument(
        "--reference",
        metavar="FILE",
        nargs="?",
        const=str(SHIPPED),
        help=f"published figures (default: the shipped ones), or shipped observations: {', '.join(shipped())}",
    )
    parser.add_argument("--format", metavar="LIST", default="terminal,html", help=f"of {','.join(FORMATS)}")
    parser.add_argument("--figures", metavar="DIR", type=Path, help="write every figure as PDF, SVG and PNG")
    parser.add_argument(
        "--labels", metavar="MAP", help="what groups are called: '{loss=infonce: InfoNCE}' or a YAML file of it"
    )
    parser.add_argument("--columns", metavar="LIST", default="", help="figures of the LaTeX table: average,last,...")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="where files go (default: PATH if it is one, else here)"
    )
    return parser


def _report(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    paths: list[Path] = list(options.paths)
    # An option whose value may be left out must not swallow the path after it.
    allowed = [
        value if value in ("all", *ALLOWABLE) else _value_or_path(value, paths, "all") for value in options.allow
    ]
    reference = options.reference and _value_or_path(options.reference, paths, str(SHIPPED))
    observations = reference if reference in shipped() else None
    if not paths and observations is None:
        raise ReportError("no PATH given; e.g. python -m cil.report outputs/sweeps/NAME (--help shows all options)")
    formats = _listed(options.format, FORMATS, "--format")
    columns = [part.strip() for part in options.columns.split(",") if part.strip()]
    for path in paths:
        if path.exists() and not path.is_dir():
            raise ReportError(f"{path}: is not a folder; valid: the folder of a run, or one above runs")
    out = options.out or (paths[0] if len(paths) == 1 else Path())
    for option, folder in (("--out", out), ("--figures", options.figures)):
        if folder is not None and folder.exists() and not folder.is_dir():
            raise ReportError(f"{option}: {folder}: is not a folder")
    # After the arguments are checked.
    from cil.report.build import Request, build
    from cil.report.files import write, write_figures
    from cil.report.render_latex import check_columns
    from cil.report.render_text import terminal

    request = Request(
        paths=paths,
        baseline=options.baseline,
        factors=options.factor,
        allowed=frozenset(_allowed(allowed)),
        expect=options.expect,
        reference=Path(reference) if reference and observations is None else None,
        observations=observations,
        labels=options.labels,
        made=f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}: python -m cil.report {shlex.join(arguments)}",
        tags=frozenset(options.tag),
    )
    report = build(request)
    check_columns(report.problems, columns)
    # Files before anything is printed: a reader that leaves (| head) must not cost the page.
    lines = write(report, [name for name in formats if name != "terminal"], out, columns)
    if options.figures is not None:
        lines.append(write_figures(report, options.figures))
    if "terminal" in formats:
        print(terminal(report.document))
    for line in lines:
        print(line)
    return 0 if report.problems or (observations and not paths) else 1


def _value_or_path(value: str, paths: list[Path], default: str) -> str:
    if Path(value).is_dir():
        paths.append(Path(value))
        return default
    return value


def _allowed(values: Sequence[str]) -> list[str]:
    chosen = [one for value in values for one in _listed(value, ("all", *ALLOWABLE), "--allow")]
    return list(ALLOWABLE) if "all" in chosen else chosen


def _listed(text: str, valid: Sequence[str], option: str) -> list[str]:
    chosen = [part.strip() for part in text.split(",") if part.strip()]
    for part in chosen:
        if part not in valid:
            raise ReportError(f"{option}: {part!r} is unknown; valid: {', '.join(valid)}")
    if not chosen:
        raise ReportError(f"{option}: is empty; valid: {', '.join(valid)}")
    return chosen


def _diff(arguments: Sequence[str]) -> int:
    if len(arguments) != 2 or any(argument.startswith("-") for argument in arguments):
        raise ReportError("diff takes two runs: python -m cil.report diff A B")
    from cil.report.diff import diff_document
    from cil.report.render_text import terminal

    print(terminal(diff_document(Path(arguments[0]), Path(arguments[1]))))
    return 0
