"""Names of groups as the user wants them in tables and figures (`--labels`)."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from cil.report.errors import ReportError
from cil.report.groups import Problem

_EXAMPLE = "e.g. --labels '{loss=infonce: InfoNCE, loss=ant: ANT}' or a YAML file with lines LABEL: NEW"


def relabel(problems: Sequence[Problem], text: str) -> None:
    """Give groups new labels. text: a YAML mapping from the report's label (or name) to the new one, or a file of it.

    Raises ReportError for what is no such mapping, a label that no group has, and one that two would share.
    """
    wanted = _read(text)
    known = {name for problem in problems for group in problem.groups for name in (group.label, *group.names)}
    if unknown := [label for label in wanted if label not in known]:
        labels = "; ".join(dict.fromkeys(group.label for problem in problems for group in problem.groups))
        raise ReportError(f"--labels: no group is called {unknown[0]!r}; groups: {labels}")
    for problem in problems:
        named = []
        for group in problem.groups:
            found = [wanted[name] for name in (group.label, *sorted(group.names)) if name in wanted]
            named.append(found[0] if found else group.label)
        if twice := [label for label in named if named.count(label) > 1]:
            raise ReportError(f"--labels: {twice[0]!r} would be the name of several groups of {problem.title}")
        for group, label in zip(problem.groups, named, strict=True):
            group.training_label = group.training_label if label == group.label else ""
            group.label = label


def _read(text: str) -> dict[str, str]:
    source = text
    try:
        if Path(text).suffix in (".yaml", ".yml"):
            source = Path(text).read_text(encoding="utf-8")
        content = yaml.safe_load(source)
    except OSError as error:
        raise ReportError(f"--labels: {text}: cannot be read: {error.strerror}") from None
    except (ValueError, yaml.YAMLError):
        raise ReportError(f"--labels: {text}: is no YAML; {_EXAMPLE}") from None
    if not isinstance(content, dict) or not content:
        raise ReportError(f"--labels: {text}: is no mapping; {_EXAMPLE}")
    return {str(key): str(value) for key, value in content.items()}
