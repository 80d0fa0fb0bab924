"""Many runs as a table: `cil.runs("outputs/**")`."""

import glob
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cil.errors import ConfigError
from cil.report.errors import ReportError
from cil.report.figures import ACCURACIES, COSTS, DYNAMICS, SIZES, figure_value
from cil.report.runs import Run, find_runs

if TYPE_CHECKING:
    import pandas as pd

FIGURES = tuple(figure.key for figure in (*ACCURACIES, *DYNAMICS, *SIZES, *COSTS))


def runs(paths: str | Path | Iterable[str | Path] = "outputs") -> "pd.DataFrame":
    """One row a run: its folder, state, settings by dotted key, and figures.

    paths: a run, a folder above runs, a pattern such as "outputs/**", or several of these. Settings that are the same
    everywhere are columns too; a run that does not count (unfinished, damaged) has its reason in the column `problem`
    and no figures. Raises ConfigError where there is no run.
    """
    import pandas as pd

    try:
        found = find_runs(_folders(paths))
    except ReportError as error:
        raise ConfigError(str(error)) from None
    rows = [_row(run) for run in found.runs]
    rows += [
        {"path": str(one.path), "state": one.reason.split(":")[0], "problem": one.reason} for one in found.excluded
    ]
    return pd.DataFrame(sorted(rows, key=lambda row: row["path"]))


def _row(run: Run) -> dict[str, Any]:
    figures = {key: figure_value(run, key) for key in FIGURES}
    return {"path": str(run.path), "state": "finished", "problem": None} | run.settings | figures


def _folders(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    """The folders that a path, a pattern or several mean, none twice below another."""
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    found: list[Path] = []
    for one in given:
        text = str(Path(one).expanduser())
        matches = sorted(glob.glob(text, recursive=True)) if glob.has_magic(text) else [text]
        folders = [Path(match) for match in matches if Path(match).is_dir() or not glob.has_magic(text)]
        if not folders:
            raise ConfigError(f"{one}: matches no folder")
        found += folders
    return [path for path in found if not any(other in path.parents for other in found)]
