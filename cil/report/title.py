"""What a report is about, from its runs."""

import re
from collections.abc import Sequence

from cil.report.groups import Problem
from cil.report.settings import short_name

_NAMED = 3


def title_of(problems: Sequence[Problem]) -> str:
    """E.g. 'margin_sweep: loss and ant_margin on digits, 5 tasks of 2 classes'."""
    if not problems:
        return "No finished run"
    names = {run.name for problem in problems for run in problem.runs}
    name = names.pop() if len(names) == 1 else ""
    start = f"{name}: " if name not in ("", "run") else ""
    if len(problems) > 1:
        more = f" and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        return f"{start}{len(problems)} problems: {'; '.join(problem.title for problem in problems[:_NAMED])}{more}"
    (problem,) = problems
    return f"{start}{_subject(problem)} on {problem.title}"


def _subject(problem: Problem) -> str:
    """The settings in which its groups differ, or what its one group is."""
    everything = list(problem.groups[0].settings)
    keys = sorted(problem.keys, key=lambda key: not key.endswith(".name"))
    words = [short_name(key, everything) for key in keys]
    if not words:
        count = len(problem.runs)
        return f"{count} run{'s' if count > 1 else ''}"
    if len(words) > _NAMED:
        words = [*words[: _NAMED - 1], f"{len(words) - _NAMED + 1} more settings"]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def slug(text: str) -> str:
    """For names of files and labels of LaTeX: letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
