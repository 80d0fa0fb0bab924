"""Expectations of an experiment, written down beforehand in conf/expect/NAME.yaml: met, not met or not measured.

The format is described in docs/report.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cil.config.locations import config_dir
from cil.report.compare import common_units
from cil.report.errors import ReportError
from cil.report.fairness import beyond_factor
from cil.report.figures import figure_value, tag_of
from cil.report.groups import Group, Problem
from cil.report.runs import Run
from cil.report.settings import LOSS_FAMILY, matches, parse_overrides
from cil.report.significance import paired_test, summarise

_KEYS = {"text", "figure", "at", "is", "value", "where", "relative_to", "as"}
_MOMENTS = ("end", "start", "change", "task_change", "between_tasks")
_COMPARISONS = (">", ">=", "<", "<=", "between")


@dataclass(frozen=True)
class Expectation:
    """One expectation; see docs/report.md for the meaning of each field."""

    text: str
    figure: str
    comparison: str
    low: float
    high: float
    at: str = "end"
    where: str | None = None
    relative_to: str | None = None
    ratio: bool = False

    def holds(self, value: float) -> bool:
        """Whether a value is as expected."""
        if self.comparison == "between":
            return self.low <= value <= self.high
        return {">": value > self.low, ">=": value >= self.low, "<": value < self.low, "<=": value <= self.low}[
            self.comparison
        ]

    @property
    def rule(self) -> str:
        """E.g. 'contrast/gap > 0.7', or with `relative_to` 'last_top1 - baseline between 2 and 3'."""
        name = self.figure if self.at == "end" else f"{self.at} of {self.figure}"
        if self.relative_to:
            name += f" {'/' if self.ratio else '-'} that of {self.relative_to}"
        if self.comparison == "between":
            return f"{name} between {self.low:g} and {self.high:g}"
        return f"{name} {self.comparison} {self.low:g}"


@dataclass(frozen=True)
class ExpectationFile:
    """The expectations of an experiment."""

    name: str
    question: str
    expectations: list[Expectation]


@dataclass(frozen=True)
class Outcome:
    """What became of an expectation in one group."""

    experiment: str
    expectation: Expectation
    group: str
    state: str
    """met, not met or not measured."""
    measured: str


def read_expectations(path: Path) -> ExpectationFile:
    """Read and check a file of expectations. Raises ReportError naming file and entry."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ReportError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
    entries = content.get("expect") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise ReportError(f"{path}: has no list `expect`")
    read = []
    for number, entry in enumerate(entries, 1):
        try:
            read.append(_expectation(entry))
        except ValueError as error:
            raise ReportError(f"{path}: expectation {number}: {error}") from None
    return ExpectationFile(path.stem, str(content.get("question", "")), read)


def _expectation(entry: Any) -> Expectation:
    if not isinstance(entry, dict):
        raise ValueError("is no mapping")
    if unknown := set(entry) - _KEYS:
        raise ValueError(f"unknown key {min(map(str, unknown))}; valid: {', '.join(sorted(_KEYS))}")
    if missing := {"figure", "is", "value"} - set(entry):
        raise ValueError(f"{min(missing)} is missing")
    comparison, value = str(entry["is"]), entry["value"]
    if comparison not in _COMPARISONS:
        raise ValueError(f"is: {comparison!r} is unknown; valid: {', '.join(_COMPARISONS)}")
    numbers = value if comparison == "between" else [value]
    wanted = 2 if comparison == "between" else 1
    if not isinstance(numbers, list) or len(numbers) != wanted or not all(_is_number(n) for n in numbers):
        raise ValueError(f"value: {value!r} is not {'[low, high]' if wanted == 2 else 'a number'}")
    if numbers[0] > numbers[-1]:
        raise ValueError(f"value: {value!r} is not [low, high]")
    at, kind = str(entry.get("at", "end")), str(entry.get("as", "difference"))
    if at not in _MOMENTS:
        raise ValueError(f"at: {at!r} is unknown; valid: {', '.join(_MOMENTS)}")
    if kind not in ("difference", "ratio"):
        raise ValueError(f"as: {kind!r} is unknown; valid: difference, ratio")
    for key in ("where", "relative_to"):
        if "=" in str(entry.get(key, "")):
            parse_overrides(str(entry[key]))
    figure = str(entry["figure"])
    return Expectation(
        text=str(entry.get("text", figure)),
        figure=figure,
        comparison=comparison,
        low=float(numbers[0]),
        high=float(numbers[-1]),
        at=at,
        where=entry.get("where"),
        relative_to=entry.get("relative_to"),
        ratio=kind == "ratio",
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def moment(run: Run, figure: str, at: str) -> float | None:
    """A figure at the end of the run, at its start, or its change over the run or its tasks."""
    if at == "end":
        return figure_value(run, figure)
    tag, curves = tag_of(figure), run.curves
    if tag is None or not curves.steps:
        return None
    if at == "start":
        return curves.at(tag, 0)
    bounds = curves.bounds()
    pairs = {"change": [(0, -1)], "task_change": bounds, "between_tasks": [(bounds[0][1], -1)]}[at]
    changes = [(curves.at(tag, first), curves.at(tag, last)) for first, last in pairs]
    return summarise([None if a is None or b is None else b - a for a, b in changes]).mean


def evaluate(
    problem: Problem, files: Sequence[ExpectationFile], everywhere: Sequence[str] = (), factor: Sequence[str] = ()
) -> list[Outcome]:
    """Every expectation of the files, for each group it is about.

    A file is about the groups whose runs carry its name; those named in `everywhere` are about all groups. Groups
    that differ in more than the contrastive loss and the factor are not compared.
    """
    fair = (*LOSS_FAMILY, *factor)
    outcomes = []
    for file in files:
        groups = [group for group in problem.groups if file.name in everywhere or file.name in group.names]
        for expectation in file.expectations if groups else []:
            chosen = [group for group in groups if _fits(group, expectation.where)]
            outcomes += [_judge(problem, group, expectation, file.name, fair) for group in chosen]
            if not chosen:
                outcomes.append(Outcome(file.name, expectation, "", "not measured", f"no run with {expectation.where}"))
    return outcomes


def _fits(group: Group, text: str | None) -> bool:
    if text is None:
        return True
    return matches(group.chosen_by, parse_overrides(text)) if "=" in text else text in group.names


def _judge(problem: Problem, group: Group, expectation: Expectation, name: str, fair: Sequence[str]) -> Outcome:
    if expectation.relative_to is None:
        state, measured = _absolute(group, expectation)
    else:
        state, measured = _relative(problem, group, expectation, fair)
    return Outcome(name, expectation, group.label, state, measured)


def _absolute(group: Group, expectation: Expectation) -> tuple[str, str]:
    values = [moment(run, expectation.figure, expectation.at) for run in group.runs.values()]
    summary = summarise(values)
    if summary.mean is None:
        return "not measured", f"no run has {expectation.figure}"
    spread = "" if summary.deviation is None else f" ± {summary.deviation:.2g}"
    single = sum(value is not None and expectation.holds(value) for value in values)
    measured = f"{summary.mean:.4g}{spread} (n = {summary.n}; alone as expected: {single}/{summary.n})"
    return ("met" if expectation.holds(summary.mean) else "not met"), measured


def _relative(problem: Problem, group: Group, expectation: Expectation, fair: Sequence[str]) -> tuple[str, str]:
    """Met only if the whole 95 % interval of the paired differences (or ratios) is as expected."""
    other, why = _other(problem, group, expectation)
    if other is group:
        return "not measured", "this is the group compared with"
    if other is None:
        return "not measured", why
    if beyond := beyond_factor(group, other, fair)[1]:
        return "not measured", f"no fair comparison with {other.label}: also differs in {'; '.join(beyond)}"
    values = []
    for unit in common_units(group, other):
        a, b = (moment(g.runs[unit], expectation.figure, expectation.at) for g in (group, other))
        if a is not None and b is not None and not (expectation.ratio and b == 0):
            values.append(a / b if expectation.ratio else a - b)
    if len(values) < 2:
        return "not measured", f"{len(values)} common seed{'' if len(values) == 1 else 's'}; an interval needs two"
    test = paired_test(values)
    if test.low is None or test.high is None:
        return "not measured", f"{test.mean:.4g} in every pair (n = {test.n}): without spread there is no interval"
    measured = f"{test.mean:.4g} (95 % CI {test.low:.3g}..{test.high:.3g}, n = {test.n})"
    if expectation.holds(test.low) and expectation.holds(test.high):
        return "met", measured
    return "not met", measured + (": on average, but not beyond doubt" if expectation.holds(test.mean) else "")


def _other(problem: Problem, group: Group, expectation: Expectation) -> tuple[Group | None, str]:
    text = str(expectation.relative_to)
    if text == "baseline":
        if problem.baseline_declared:
            return problem.baseline, ""
        return None, "no single group is named baseline; --baseline says which one is meant"
    fitting = [one for one in problem.groups if _fits(one, text)]
    if len({id(one.training) for one in fitting}) == 1:
        # Of groups that train the same, the one whose statistics are measured with the same margin.
        margin = group.settings.get("ant_margin")
        return next((one for one in fitting if one.settings.get("ant_margin") == margin), fitting[0]), ""
    return None, f"{'no' if not fitting else 'more than one'} group fits {text}"


def expectation_files(problems: Sequence[Problem], extra: Sequence[str]) -> list[ExpectationFile]:
    """Files of conf/expect for the names of the runs, and the extra ones asked for (a name or a path)."""
    folder = config_dir() / "expect"
    names = {name for problem in problems for group in problem.groups for name in group.names}
    paths = [path for path in sorted(folder.glob("*.yaml")) if path.stem in names]
    for text in extra:
        path = Path(text) if Path(text).suffix in (".yaml", ".yml") else folder / f"{text}.yaml"
        if not path.is_file():
            valid = ", ".join(sorted(p.stem for p in folder.glob("*.yaml"))) or "none"
            raise ReportError(f"--expect: no file {path}; of conf/expect: {valid}")
        if path not in paths:
            paths.append(path)
    return [read_expectations(path) for path in paths]
