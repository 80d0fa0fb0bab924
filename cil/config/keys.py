"""What stands beside a key of the schema besides its type: its valid range, when it is used, what null means, ...

A rule that looks at one key, or asks of another key whether this one is used, is written here once, in the field's
metadata. Checks, recorded nulls, identity, documentation, report and no-op probe all read it from there.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field
from typing import Any, TypedDict, Unpack

from cil.config.show import show


@dataclass(frozen=True)
class Rule:
    """What a value must fulfil. Of a list each entry is tested; null always passes."""

    test: Callable[[Any], bool]
    text: str
    """What must hold: 'must be greater than 0'."""
    problem: str = "is out of range"
    """What is said of a value that does not hold it."""

    @property
    def short(self) -> str:
        """The same for a table: 'greater than 0'."""
        return self.text.removeprefix("must be ").removeprefix("must lie ")


def at_least(low: int) -> Rule:
    """`low` or greater."""
    return Rule(lambda value: value >= low, f"must be {low} or greater")


def between(low: float, high: float) -> Rule:
    """From `low` to `high`, both included."""
    return Rule(lambda value: low <= value <= high, f"must lie in [{low}, {high}]")


ABOVE_ZERO = Rule(lambda value: value > 0, "must be greater than 0")
SHARE = Rule(lambda value: 0 < value <= 1, "must lie in (0, 1]")
BELOW_HALF = Rule(lambda value: 0 < value <= 0.5, "must lie in (0, 0.5]")
BELOW_ONE = Rule(lambda value: 0 <= value < 1, "must lie in [0, 1)")
TAG = Rule(
    lambda value: re.fullmatch(r"\w[\w./:+-]{0,63}", value) is not None,
    "must be of up to 64 letters, digits, '_', '.', '/', ':', '+' and '-', the first one a letter, digit or '_'",
    "holds what is no tag",
)

Test = Callable[[Any], bool]


def nonzero(value: Any) -> bool:
    """Another number than 0."""
    return value != 0


def true(value: Any) -> bool:
    """Not switched off."""
    return value is not False


def null(value: Any) -> bool:
    """Nothing set."""
    return value is None


def not_null(value: Any) -> bool:
    """Something set."""
    return value is not None


def is_(*names: str) -> Test:
    """One of these names; while it is null, nothing is known and it passes."""
    return lambda value: value is None or value in names


def is_not(*names: str) -> Test:
    """Any other name."""
    return lambda value: value not in names


@dataclass(frozen=True)
class When:
    """A condition on the value of another key. A key that a configuration does not have fulfils it."""

    key: str
    test: Test

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it is fulfilled; `values`: dotted key -> plain value (enums by name)."""
        return self.key not in values or self.test(values[self.key])

    def reason(self, values: Mapping[str, Any]) -> str:
        """The setting that does not fulfil it, as it is written: 'loss=infonce', 'loss.ant_beta=0'."""
        return f"{self.key.removesuffix('.name')}={show(values[self.key])}"


def when(key: str, test: Test) -> tuple[When]:
    """The condition that the value of `key` passes `test`; several are added up with `+`."""
    return (When(key, test),)


WHERE_USED = "needs a value, null is not valid with the chosen settings"
ALWAYS = "null is not valid; expected "


class Facts(TypedDict, total=False):
    """What is known of a key. What is left out does not apply."""

    rule: Rule
    """The valid range."""
    neutral: Any
    """What runs had that are older than the key (plain: an enum by name). A stored configuration without the key gets
    it, and at this value the key is no part of a run's identity, so that older runs keep theirs."""
    used: tuple[When, ...]
    """Conditions under which the key has a part in the run. Where one fails, or the key it asks is itself unused, the
    key is recorded as null."""
    idle: Any
    """What is recorded instead of null where a condition of `used` fails."""
    trains: tuple[When, ...]
    """Conditions under which it changes training too, and not only what is measured."""
    needed: str
    """Null is not valid: WHERE_USED, or ALWAYS, for a key that can be null only where the method does without it."""
    off: Any
    """The value (plain) that means that something is not there: labels of the report leave it out."""
    tried: Any
    """What the no-op probe tries where value and default are null; NOT_TRIED: nothing."""
    by_method: bool
    """A method can do without the key or group (`USES` in its file)."""
    inherited: bool
    """The state after a task depends on the key or group, so a run that branches off there (from_task) keeps it."""


NOT_TRIED = object()
"""See `Facts.tried`."""


def key(default: Any, **facts: Unpack[Facts]) -> Any:
    """A key of a schema: its default, and what else is known of it. A list is copied for each configuration."""
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=dict(facts))
    return field(default=default, metadata=dict(facts))


def group(schema: type, **facts: Unpack[Facts]) -> Any:
    """A group of keys. `used`, `by_method` and `inherited` hold for all of them."""
    return field(default_factory=schema, metadata=dict(facts))


def facts_of(item: Field[Any]) -> Facts:
    """What stands beside a field."""
    return item.metadata  # type: ignore[return-value]
