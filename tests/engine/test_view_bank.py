"""`augment.view_bank`: frozen networks see every view once, and a run goes on exactly."""

import logging
import re
from collections import Counter
from contextlib import nullcontext

import pytest
import torch

from cil.config.typed import plain
from cil.engine.view_bank import ViewBank
from cil.errors import ConfigError
from cil.models.folding import FrozenForward
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
    networks = method.frozen_backbones()
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
    assert all(count == expected[task, phase] for (task, phase, _), count in seen.items())


@pytest.mark.parametrize("name", ["tagfex", "bic"])
def test_training_is_that_on_the_same_views_without_the_bank(name, monkeypatch):
    settings = (f"method={name}", "memory.size=40", BANK, *LONGER)
    banked = make_trainer(*settings)
    banked.run()
    monkeypatch.setattr(ViewBank, "fill", lambda *_: None)
    live = make_trainer(*settings)
    live.run()
    # As long as a pair is used for the first time, the pass that fills it has the batches of training: the same bits.
    exactly = banked.config.trainer.init_epochs + PAIRS
    pairs = list(zip(map(untimed, banked.observer.epochs), map(untimed, live.observer.epochs), strict=True))
    assert all(a == b for a, b in pairs[:exactly])
    assert pairs[exactly][0]["loss/total"] == pytest.approx(pairs[exactly][1]["loss/total"], rel=1e-4)


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


def test_micro_batches_see_their_own_rows_of_it(monkeypatch):
    settings = (BANK, *LONGER, "trainer.micro_batches=3")
    banked = make_trainer(*settings)
    banked.run()
    monkeypatch.setattr(ViewBank, "fill", lambda *_: None)
    live = make_trainer(*settings)
    live.run()
    # Convolutions over other numbers of images round otherwise.
    first = banked.config.trainer.init_epochs
    for one, other in zip(banked.observer.epochs[: first + 2], live.observer.epochs, strict=False):
        assert one["loss/total"] == pytest.approx(other["loss/total"], rel=1e-4)


def test_memory_that_runs_out_while_a_pair_is_filled_is_saved_by_smaller_pieces(monkeypatch):
    largest = 7
    original = FrozenForward.features

    def short(self, network, images):
        if not torch.is_grad_enabled() and len(images) > largest and not self._known:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return original(self, network, images)

    monkeypatch.setattr(FrozenForward, "features", short)
    settings = (BANK, "trainer.max_tasks=2", "trainer.inc_epochs=2")
    trainer = make_trainer(*settings, "trainer.on_oom=accumulate")
    trainer.run()
    assert trainer.bank.parts > 1
    assert trainer.stepper.micro_batches == 1 and not trainer.stepper.memory_events
    with pytest.raises(torch.OutOfMemoryError):
        make_trainer(*settings).run()


def test_nothing_is_kept_once_a_task_is_over():
    trainer = make_trainer(BANK, *LONGER)
    trainer.run()
    assert trainer.bank._kept == {}


def test_a_bank_too_large_for_the_machine_is_refused_and_one_that_saves_nothing_told(monkeypatch, caplog):
    monkeypatch.setattr("cil.engine.view_bank.main_memory", lambda: 10_000)
    with pytest.raises(ConfigError, match=r"augment\.view_bank: 2 pairs of views take .* GB .*; valid: 0 or fewer"):
        make_trainer(BANK, *LONGER)
    make_trainer("method=replay", BANK, *LONGER)
    assert "augment.view_bank: replay has no frozen network that sees the images; nothing is saved" in caplog.text


def test_the_size_told_is_the_size_taken(caplog):
    caplog.set_level(logging.INFO, "cil")
    trainer = make_trainer(BANK, *LONGER)
    (told,) = [float(found) for found in re.findall(r"take ([\d.e-]+) GB", caplog.text)]
    taken = []
    forget = trainer.bank.forget

    def look():
        taken.append(sum(features.nbytes for kept in trainer.bank._kept.values() for features in kept.values()))
        forget()

    trainer.bank.forget = look
    trainer.run()
    assert max(taken) / 1e9 == pytest.approx(told, rel=0.01)


def test_work_is_counted_without_what_is_remembered():
    whole, banked = make_trainer(*LONGER), make_trainer(BANK, *LONGER)
    assert whole.workload._unit == {1: 12, 2: 16, 3: 18}
    assert banked.workload._unit == {1: 12, 2: 12 + 4 * PAIRS / 5, 3: 12 + 6 * PAIRS / 5}


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
