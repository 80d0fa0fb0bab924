"""`--tag`: the runs that have certain tags, whatever state they are in."""

from collections.abc import Collection, Sequence
from pathlib import Path

from cil.files import read_yaml
from cil.report.errors import ReportError


def tags_of(folder: Path) -> frozenset[str]:
    """Tags of the run in `folder`; none where its config.yaml cannot be read."""
    try:
        return frozenset(read_yaml(folder / "config.yaml").get("tags") or ())
    except (OSError, ValueError, TypeError, AttributeError):
        return frozenset()


def tagged(folders: Sequence[Path], tags: Collection[str]) -> list[Path]:
    """Folders of the runs that have all of the tags."""
    return [folder for folder in folders if tags_of(folder).issuperset(tags)] if tags else list(folders)


def no_run_has(tags: Collection[str], folders: Sequence[Path]) -> ReportError:
    """The error where none of the runs has all of the tags."""
    known = sorted(frozenset().union(*map(tags_of, folders)))
    return ReportError(f"--tag: no run has {' and '.join(sorted(tags))}; tags of these runs: {', '.join(known) or '-'}")
