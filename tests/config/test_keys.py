"""What stands beside a key: a throw-away key of the loss, added by its field alone, has all of it."""

from dataclasses import dataclass

import pytest

from cil.config import names, ranges, schema, usage
from cil.config.identity import run_id
from cil.config.keys import WHERE_USED, at_least, between, key, nonzero, when
from cil.config.typed import plain
from cil.errors import ConfigError
from cil.planning import docs
from cil.report.settings import follows, means_off, unused
from cil.sweep.probe_report import another_value, loss_settings
from tests.planning.helpers import one


@dataclass
class LossConfig(schema.LossConfig):
    """The loss with one more key."""

    sharpness: float | None = key(
        0.5,
        rule=between(0, 1),
        neutral=0.0,
        used=when("loss.ant_beta", nonzero),
        needed=WHERE_USED,
        off=0.0,
    )
    """How sharp it is."""


@pytest.fixture
def sharpness(monkeypatch):
    """The schema with the key; the caches that hold what is known of keys are emptied before and after."""
    caches = [usage.key_facts, usage.group_facts, usage.default_of, usage.optional_for_methods, names.key_types]
    for function in caches:
        function.cache_clear()
    config = schema.RunConfig
    monkeypatch.setattr(config, "__annotations__", {**config.__annotations__, "loss": LossConfig})
    monkeypatch.setattr(config.__dataclass_fields__["loss"], "default_factory", LossConfig)
    yield "loss.sharpness"
    monkeypatch.undo()
    for function in caches:
        function.cache_clear()


def values(**changes):
    flat = usage.flat(plain(schema.RunConfig()))
    return flat | {name.replace("__", "."): value for name, value in changes.items()}


def test_its_range_and_null_rule(sharpness):
    config = schema.RunConfig(loss=LossConfig(sharpness=2.0))
    with pytest.raises(ConfigError, match=r"loss.sharpness: 2 is out of range; must lie in \[0, 1\]"):
        ranges.check_ranges(config)
    with pytest.raises(ConfigError, match=r"loss\.sharpness: needs a value, null is not valid"):
        ranges.check_nulls(schema.RunConfig(ant_margin=0.1, loss=LossConfig(sharpness=None)))


def test_when_it_is_unused(sharpness):
    assert usage.why_unused(values(), sharpness) is None
    reason = usage.why_unused(values(loss__ant_beta=0.0), sharpness)
    assert reason is not None and reason.reason == "loss.ant_beta=0"
    infonce = usage.why_unused(values(loss__name="infonce"), sharpness)
    assert infonce is not None and infonce.reason == "loss=infonce"
    finetune = usage.why_unused(values(method__name="finetune"), sharpness)
    assert finetune is not None and (finetune.reason, finetune.group) == ("method=finetune", "loss")


def test_it_is_documented(sharpness):
    assert docs.field_docs(LossConfig)["sharpness"] == "How sharp it is."
    assert sharpness in names.key_types()


def test_the_probe_and_the_report_know_it(sharpness):
    assert sharpness in loss_settings()
    assert another_value(sharpness, 0.5) == 1.0
    assert another_value(sharpness, 0.8) == 0.4  # twice as much is out of its range
    assert means_off(sharpness, 0) and not means_off(sharpness, 0.5)
    other = values(loss__name="infonce", loss__ant_beta=None, loss__sharpness=None)
    assert unused(other, sharpness) and follows(sharpness, values(), other)
    assert not follows(sharpness, values(), values(loss__sharpness=0.1))


def test_its_neutral_value_is_no_part_of_the_identity():
    effective = one().effective
    assert run_id(effective) == run_id({**effective, "memory": {**effective["memory"], "selection": "herding"}})
    assert run_id(effective) != run_id({**effective, "memory": {**effective["memory"], "selection": "random"}})
    without = {name: value for name, value in effective["memory"].items() if name != "selection"}
    assert run_id(effective) == run_id({**effective, "memory": without})


def test_rules_say_what_must_hold():
    assert at_least(3).test(3) and not at_least(3).test(2)
    assert at_least(3).text == "must be 3 or greater" and at_least(3).short == "3 or greater"
