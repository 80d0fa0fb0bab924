"""Which group the others are compared with."""

from collections.abc import Sequence

from cil.report.errors import ReportError
from cil.report.groups import Group, Problem
from cil.report.settings import matches, parse_overrides


def choose_baselines(problems: Sequence[Problem], wanted: str | None) -> None:
    """Set each problem's baseline. Raises ReportError where `wanted` (a name, or KEY=VALUE...) fits no or several."""
    found = []
    for problem in problems:
        fitting = _fitting(problem, wanted) if wanted else []
        if len({id(group.training) for group in fitting}) > 1:
            labels = "; ".join(group.label for group in fitting)
            raise ReportError(f"--baseline: {wanted!r} fits {len(fitting)} groups of {problem.title}: {labels}")
        if fitting:
            found.append(problem)
            problem.baseline, problem.baseline_reason = fitting[0], "chosen with --baseline"
            problem.baseline_declared = True
        elif len(problem.groups) > 1:
            _choose_default(problem)
            if wanted:
                problem.baseline_reason += f"; no group fits --baseline {wanted}"
    if wanted and not found:
        labels = "; ".join(group.label for problem in problems for group in problem.groups)
        raise ReportError(f"--baseline: no group fits {wanted!r}; groups: {labels}")


def _fitting(problem: Problem, wanted: str) -> list[Group]:
    named = [group for group in problem.groups if wanted in group.names or wanted == group.label]
    if named or "=" not in wanted:
        return named
    try:
        overrides = parse_overrides(wanted)
    except ValueError as error:
        raise ReportError(f"--baseline: {error}") from None
    return [group for group in problem.groups if matches(group.chosen_by, overrides)]


def _choose_default(problem: Problem) -> None:
    named = [group for group in problem.groups if "baseline" in group.names]
    infonce = [group for group in problem.groups if group.settings.get("loss.name") == "infonce"]
    trainings = {id(group.training) for group in infonce}
    if len(named) == 1:
        problem.baseline, problem.baseline_reason = named[0], "the group named baseline"
        problem.baseline_declared = True
    elif named:
        labels = "; ".join(group.label for group in named)
        problem.baseline, problem.baseline_reason = named[0], f"the first of {len(named)} groups named baseline"
        problem.warnings.append(
            f"{problem.title}: {len(named)} groups are named baseline ({labels}); the first one is compared with, "
            "--baseline chooses another"
        )
    elif len(infonce) == 1:
        problem.baseline, problem.baseline_reason = infonce[0], "the only group with loss=infonce"
    elif len(trainings) == 1:
        problem.baseline = infonce[0]
        problem.baseline_reason = f"the first of {len(infonce)} groups with loss=infonce, which all train the same"
    else:
        problem.baseline = problem.groups[0]
        problem.baseline_reason = "the first group, as none is named baseline and no single one has loss=infonce"
