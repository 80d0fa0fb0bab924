"""`augment.view_bank`: frozen networks see every view once, and a run goes on exactly."""

from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext

import pytest
import torch

from cil.config.typed import plain
from cil.engine.view_bank import ViewBank
from cil.errors import ConfigError
from cil.planning.plan import plan
from tests.engine.test_frozen import FREEZING, in_last_phase
from tests.engine.test_loop import make_trainer, untimed
from tests.engine.test_resume import assert_continues_at
from tests.methods.networks import batch

PAIRS = 2
BANK = f"augment.view_bank={PAIRS}"
LONGER = ("trainer.inc_epochs=5", "trainer.max_tasks=3")


@pytest.mark.parametrize("name", FREEZING)
def test_what_is_known_is_what_the_network_gives(name):
    method = in_last_phase(name)
    images, _ = batch(6 * method.views, 0, 6)
    networks = method.frozen()
    assert len(networks) == {"tagfex": 3, "der": 2, "memo": 0, "foster": 2}.get(name, 1)
    known = {network: method.run_frozen.features(network, images) for network in networks}
    calls: Counter = Counter()
    for network in networks:
        network.register_forward_hook(lambda module, *_: calls.update([module]))
    kept = method.network.state_dict()
    kept = {key: value.clone() for key, value in kept.items()}

    def outputs(context):
        method.network.load_state_dict(kept)
        with context:
            return vars(method.network(images))

    live = outputs(nullcontext())
    assert sorted(calls.values()) == [1] * len(networks)
    remembered = outputs(method.run_frozen.knowing(known))
    assert sorted(calls.values()) == [1] * len(networks), "run again"
    assert live.keys() == remembered.keys()
    for field, value in live.items():
        assert torch.equal(value, remembered[field]) if isinstance(value, torch.Tensor) else value is None, field
    half = torch.arange(0, len(images), 2)
    with method.run_frozen.knowing(known, half):
        for network in networks:
            assert torch.equal(method.run_frozen.features(network, images[half]), known[network][half])
    assert method.run_frozen._known == {}


@pytest.mark.parametrize("name", ["tagfex", "foster"])
def test_frozen_networks_see_each_view_once_in_a_task(name):
    trainer = make_trainer(f"method={name}", "memory.size=40", BANK, *LONGER)
    seen: Counter = Counter()
    run = trainer.method.run_frozen
    original = type(run).__call__

    class Counting(type(run)):
        def __call__(self, network, images):
            if not torch.is_grad_enabled():
                seen[trainer.finished_tasks, trainer.begun_phases, network] += len(images)
            return original(self, network, images)

    run.__class__ = Counting
    images = {}
    fill = trainer.bank.fill

    def counted(stretch, key):
        images[trainer.finished_tasks, trainer.begun_phases] = len(stretch[0])
        fill(stretch, key)

    trainer.bank.fill = counted
    trainer.run()
    expected = {where: PAIRS * trainer.method.views * count for where, count in images.items()}
    assert seen
    assert {(task, phase): count for (task, phase, _), count in seen.items() if task}.items() <= expected.items()
    assert all(count == expected[task, phase] for (task, phase, _), count in seen.items())


@pytest.mark.parametrize("name", ["tagfex", "bic"])
def test_training_is_that_on_the_same_views_without_the_bank(name, monkeypatch):
    settings = (f"method={name}", "memory.size=40", BANK, *LONGER)
    banked = make_trainer(*settings)
    banked.run()
    monkeypatch.setattr(ViewBank, "fill", lambda *_: None)
    live = make_trainer(*settings)
    live.run()
    first = banked.config.trainer.init_epochs
    pairs = list(zip(map(untimed, banked.observer.epochs), map(untimed, live.observer.epochs), strict=True))
    assert all(a == b for a, b in pairs[:first])
    # The batches of the pass that fills the bank are others than those of training: sums are rounded otherwise.
    for one, other in pairs[first : first + 3]:
        assert one["loss/total"] == pytest.approx(other["loss/total"], rel=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        ("method=tagfex", "trainer.micro_batches=2", "trainer.frozen=folded"),
        pytest.param(("method=tagfex",), marks=pytest.mark.faults),
        pytest.param(("method=foster", "memory.size=40"), marks=pytest.mark.faults),
        pytest.param(("method=bic", "memory.size=40"), marks=pytest.mark.faults),
    ],
    ids=str,
)
def test_a_continued_run_equals_the_unbroken_one(settings):
    settings = (*settings, BANK, "trainer.inc_epochs=5")
    steps = make_trainer(*settings).workload.steps
    # In the last epoch of task 2, whose pair has been there before, and in the one before it.
    last = sum(steps[1]) + sum(steps[2][:-1])
    assert_continues_at(*settings, points=[("step", last + 1), ("step", last - 1), ("task", 2)])


def test_micro_batches_see_their_own_rows_of_it():
    whole, parts = (make_trainer(BANK, *LONGER, f"trainer.micro_batches={n}") for n in (1, 2))
    seen: list[Mapping] = []
    run = parts.method.run_frozen
    original = run.knowing

    def knowing(known, rows=None):
        if known and rows is not None:
            seen.append({"known": next(iter(known.values())).shape[0], "rows": len(rows)})
        return original(known, rows)

    run.knowing = knowing
    for trainer in (whole, parts):
        trainer.run()
    assert seen
    assert all(one["rows"] < one["known"] for one in seen)
    first = whole.config.trainer.init_epochs
    # Batch-norm sees smaller batches, so the losses are near each other only.
    one, other = (trainer.observer.epochs[first]["loss/total"] for trainer in (whole, parts))
    assert one == pytest.approx(other, rel=0.2)


def test_it_is_another_run_and_null_is_the_run_of_before():
    ids = [plan([f"augment.view_bank={value}"]).jobs[0].run_id for value in ("null", "4", "5")]
    assert len(set(ids)) == 3
    assert ids[0] == plan([]).jobs[0].run_id
    assert plain(plan([]).jobs[0].config)["augment"]["view_bank"] is None


def test_wrong_and_useless_values():
    with pytest.raises(ConfigError, match=r"augment\.view_bank.*1 or greater"):
        plan(["augment.view_bank=0"])
    warnings = plan(["augment.view_bank=30", "trainer.init_epochs=40", "trainer.inc_epochs=30"]).jobs[0].warnings
    assert any("augment.view_bank: 30 pairs, later tasks: 30 epochs; no pair comes twice" in line for line in warnings)
    assert not any("task 1: 40" in line for line in warnings)
