"""Many runs as a table: `cil.runs("outputs/**")`."""

import glob
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cil.errors import ConfigError
from cil.records.folder import read_status
from cil.report.errors import ReportError
from cil.report.groups import make_problems
from cil.report.rows import settings_and_figures
from cil.report.runs import find_runs, run_folders

if TYPE_CHECKING:
    import pandas as pd


def runs(paths: str | Path | Iterable[str | Path] = "outputs", repeats: bool = False) -> "pd.DataFrame":
    """One row a run: `run` (its folder), `state`, settings by dotted key, and figures named as in report_runs.csv.

    paths: a run, a folder above runs, a pattern such as "outputs/**", or several of these. A run that does not count
    (unfinished, damaged, a copy or a repeat of another one) has the reason in the column `excluded` and no figures, so
    that a mean over rows is one over different runs. repeats: copies and repeats have their figures too.
    Raises ConfigError where there is no run.
    """
    import pandas as pd

    try:
        found = find_runs(_folders(paths))
    except ReportError as error:
        raise ConfigError(str(error)) from None
    again = [] if repeats else [one for one in make_problems(found.runs)[1] if one.same]
    left_out = {one.path for one in again}
    rows: list[dict[str, Any]] = [
        {"run": str(run.path), "state": "finished", "excluded": None} | settings_and_figures(run)
        for run in found.runs
        if run.path not in left_out
    ]
    for one in [*found.excluded, *again]:
        state = str(read_status(one.path).get("state", "unknown"))
        rows.append({"run": str(one.path), "state": state, "excluded": one.reason})
    return pd.DataFrame(sorted(rows, key=lambda row: row["run"]))


def _folders(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    """The folders that a path, a pattern or several mean, none twice below another.

    What matches a pattern without holding a run (a report, the folder of curves of a sweep) is passed over.
    """
    given = list(paths) if isinstance(paths, Iterable) and not isinstance(paths, str) else [paths]
    if not given or not all(isinstance(one, str | Path) for one in given):
        raise ConfigError(f"{paths!r}: is no path; valid: a run, a folder above runs, a pattern, or several of these")
    found: list[Path] = []
    for one in given:
        text = str(Path(one).expanduser())
        if not glob.has_magic(text):
            found.append(Path(text))
            continue
        folders = [path for path in map(Path, sorted(glob.glob(text, recursive=True))) if path.is_dir()]
        matches = [path for path in _outermost(folders) if run_folders(path)]
        if not matches:
            raise ConfigError(f"{one}: matches no folder with a run")
        found += matches
    return _outermost(found)


def _outermost(folders: list[Path]) -> list[Path]:
    """Those that lie below no other one."""
    known = set(folders)
    return [path for path in folders if known.isdisjoint(path.parents)]
