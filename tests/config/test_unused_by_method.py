"""Settings that a method has no use for: written or not, they are one run."""

import pytest

from cil.planning.plan import plan


def job(*arguments):
    planned = plan(list(arguments))
    return planned.jobs[0].run_id, planned.warnings


@pytest.mark.parametrize(
    ("method", "setting", "recorded"),
    [
        ("joint", "trainer.inc_epochs=5", "1"),
        ("joint", "optimizer.inc_milestones=[3]", "[]"),
        ("joint", "optimizer.inc_weight_decay=0.1", "0"),
        ("foster", "optimizer.init_milestones=[3]", "[]"),
        ("foster", "optimizer.gamma=0.5", "1"),
        ("finetune", "memory.size=50", "null"),
        ("lwf", "memory.total_mb=5", "null"),
        ("bic", "ant_margin=0.3", "null"),
    ],
)
def test_it_is_one_run_and_said(method, setting, recorded):
    without, nothing = job(f"method={method}")
    with_it, told = job(f"method={method}", setting)
    assert (with_it, nothing) == (without, [])
    assert told == [f"{setting.partition('=')[0]}: has no effect with method={method}; recorded as {recorded}"]
    assert job("method=wa", "ant_margin=null")[0] != without


@pytest.mark.parametrize("why", ["method.kd_weight=0", "method.loss=bce"])
def test_a_temperature_without_its_distillation(why):
    without, _ = job("method=icarl", why)
    with_it, (told,) = job("method=icarl", why, "method.temperature=4")
    assert with_it == without != job("method=icarl")[0]
    assert told == f"method.temperature: has no effect with {why}; recorded as null"
    assert job("method=icarl", "method.temperature=4")[0] != job("method=icarl")[0]
