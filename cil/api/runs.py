"""Many runs as a table: `cil.runs("outputs/**")`."""

import glob
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cil.errors import ConfigError
from cil.records.folder import read_status
from cil.report.errors import ReportError
from cil.report.rows import settings_and_figures
from cil.report.runs import find_runs, run_folders

if TYPE_CHECKING:
    import pandas as pd


def runs(paths: str | Path | Iterable[str | Path] = "outputs") -> "pd.DataFrame":
    """One row a run: `run` (its folder), `state`, settings by dotted key, and figures named as in report_runs.csv.

    paths: a run, a folder above runs, a pattern such as "outputs/**", or several of these. A run that does not count
    (unfinished, damaged) has the reason in the column `excluded` and no figures. Unlike in a report, repeats of a run
    are there too. Raises ConfigError where there is no run.
    """
    import pandas as pd

    try:
        found = find_runs(_folders(paths))
    except ReportError as error:
        raise ConfigError(str(error)) from None
    rows: list[dict[str, Any]] = [
        {"run": str(run.path), "state": "finished", "excluded": None} | settings_and_figures(run) for run in found.runs
    ]
    for one in found.excluded:
        state = str(read_status(one.path).get("state", "unknown"))
        rows.append({"run": str(one.path), "state": state, "excluded": one.reason})
    return pd.DataFrame(sorted(rows, key=lambda row: row["run"]))


def _folders(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    """The folders that a path, a pattern or several mean, none twice below another.

    What matches a pattern without holding a run (a report, the folder of curves of a sweep) is passed over.
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
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
