"""Published observations that ship with the program: figures by protocol, seed and treatment, as facts.

A file is a CSV: protocol, seed, and a column for each treatment.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from cil.report.blocks import Block
from cil.report.errors import ReportError

FOLDER = Path(__file__).resolve().parent / "published"


@dataclass(frozen=True)
class Observations:
    """values: block -> treatment -> incremental average top-1 in per cent."""

    name: str
    treatments: list[str]
    values: dict[Block, dict[str, float]]


def shipped() -> list[str]:
    """Names of the observations that are there."""
    return sorted(path.stem for path in FOLDER.glob("*.csv"))


def read_observations(name: str) -> Observations:
    """Raises ReportError for a name that does not ship, or a damaged file."""
    path = FOLDER / f"{name}.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        treatments = [column for column in rows[0] if column not in ("protocol", "seed")]
        values: dict[Block, dict[str, float]] = {
            Block(row["protocol"], int(row["seed"])): {t: float(row[t]) for t in treatments} for row in rows
        }
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise ReportError(f"--reference: {name}: cannot be read: {error}; valid: {', '.join(shipped())}") from None
    return Observations(name, treatments, values)
