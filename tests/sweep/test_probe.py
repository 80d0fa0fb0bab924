"""The no-op detector."""

import json
from dataclasses import replace

import pytest
import torch

from cil.planning.plan import plan
from cil.sweep.probe import Effect, Probe
from cil.sweep.probe_report import another_value, loss_settings, probe, run_effects, sweep_effects, sweep_warnings
from tests.commands import changed, train
from tests.planning.helpers import one
from tests.sweep.sweeps import TINY

BOTH, GRADIENT, NOTHING = Effect(True, True), Effect(False, True), Effect(False, False)


def compare(*arguments, values, key):
    return Probe().compare_all([one(*arguments, f"{key}={value}").config for value in values])


@pytest.mark.parametrize(
    ("arguments", "key", "values", "expected"),
    [
        (["loss=ant"], "ant_margin", [0.1, 0.2], BOTH),
        (["loss=infonce"], "ant_margin", [0.1, 0.2], NOTHING),
        (["loss=ant", "loss.ant_beta=0"], "ant_margin", [0.1, 0.2], NOTHING),
        (["loss=ant", "method.contrast_weight=0"], "ant_margin", [0.1, 0.2], NOTHING),
        (["loss=ant"], "loss.reference_grad", ["true", "false"], GRADIENT),
        (["loss=ant"], "loss.temperature", [0.2, 0.21], BOTH),
        (["loss=infonce"], "loss.negatives", ["first_view", "all"], NOTHING),
        (["loss=ant_gap"], "loss.gap_target", [0.7, 0.9], BOTH),
        (["loss=ant_gap"], "loss.gap_target", [-1.9, -1.8], NOTHING),
        (["loss=ant"], "loss.gap_target", [0.7, 0.75], NOTHING),
        (["loss=ant", "loss.formulation=topk"], "loss.topk", [10, 20], BOTH),
        (["loss=ant", "loss.formulation=topk", "trainer.batch_size=16"], "loss.topk", [15, 32], NOTHING),
        (["loss=ant", "loss.formulation=topk", "trainer.batch_size=256"], "loss.topk", [150, 200], BOTH),
        (["loss=ant_hard", "trainer.batch_size=8"], "loss.hard_negative_ratio", [0.99, 1.0], NOTHING),
        (["loss=ant", "margin_schedule=linear"], "margin_schedule.target_margin", [0.5, 0.6], BOTH),
        (["loss=ant", "margin_schedule=linear"], "margin_schedule.gap_ratio", ["null", 0.8], BOTH),
        (["loss=ant_curriculum"], "margin_schedule.epochs", ["[0,60,120,170]", "[0,61,120,170]"], NOTHING),
        (["loss=ant_curriculum"], "margin_schedule.epochs", ["[0,60,120,170]", "[0,11,120,170]"], BOTH),
    ],
    ids=str,
)
def test_what_a_setting_changes(arguments, key, values, expected):
    assert compare(*arguments, values=values, key=key) == expected


def test_it_is_the_real_loss_that_is_asked(monkeypatch):
    """A loss that ignores its margin is found out, whatever its settings claim."""
    from cil.losses.ant import Ant

    original = Ant.__call__
    monkeypatch.setattr(Ant, "__call__", lambda self, compared: original(self, replace(compared, margin=0.1)))
    assert compare("loss=ant", values=[0.1, 0.4], key="ant_margin") == NOTHING


def test_a_loss_is_told_classes_with_several_images_each(monkeypatch):
    from cil.losses.ant import Ant

    original, seen = Ant.__call__, []
    monkeypatch.setattr(
        Ant, "__call__", lambda self, compared: seen.append(compared.labels) or original(self, compared)
    )
    compare("loss=ant", "trainer.batch_size=30", values=[0.1, 0.4], key="ant_margin")
    assert seen and all(labels.bincount().tolist() == [3] * 10 for labels in seen)


def test_asking_draws_nothing_at_random():
    before = torch.random.get_rng_state()
    compare("loss=ant", values=[0.1, 0.2], key="ant_margin")
    assert torch.equal(before, torch.random.get_rng_state())


def warnings_of(*arguments):
    return sweep_warnings(plan(["-m", *arguments]))


def test_a_swept_key_without_effect_is_a_warning():
    (warning,) = warnings_of("loss=infonce", "ant_margin=0.1,0.2,0.3", "seed=1,2")
    assert warning == "ant_margin = 0.1, 0.2, 0.3: changes neither loss nor gradient (measured on a probe batch)"
    assert warnings_of("loss=ant", "ant_margin=0.1,0.2", "seed=1,2") == []
    assert warnings_of("seed=1,2") == []


def test_without_effect_only_beside_some_values():
    command = ["loss=ant", "loss.nce_alpha=0,1", "loss.temperature=0.2,0.3"]
    (warning,) = warnings_of(*command)
    assert "with loss.nce_alpha=0" in warning
    lines = probe(plan(["-m", *command])).splitlines()
    assert lines[-1] == f"warning: {warning}"


@pytest.mark.parametrize("kind", ["negatives", "repel"])
def test_prototypes_of_old_classes_have_an_effect(kind: str):
    assert compare("loss=infonce", key="loss.prototypes", values=["none", kind]) == BOTH
    assert warnings_of("loss=infonce", f"loss.prototypes=none,{kind}") == []


def test_no_warning_where_one_run_serves_all_values():
    assert warnings_of("loss=infonce,ant", "ant_margin=0.1,0.2", "seed=1,2") == []


def test_a_key_that_leads_to_the_same_runs_is_a_warning_too():
    (warning,) = warnings_of("loss=infonce", "loss.ant_beta=0.5,1")
    assert warning.startswith("loss.ant_beta = 0.5, 1: changes neither")


def test_what_the_swept_keys_change():
    jobs = plan(["-m", "loss=ant,infonce", "loss.reference_grad=true,false", "seed=1,2"]).jobs
    assert sweep_effects(jobs) == {"loss": BOTH, "loss.reference_grad": GRADIENT}
    text = probe(plan(["-m", "loss=ant", "loss.reference_grad=true,false"]))
    assert text.lower() == "loss.reference_grad = true, false: changes gradient"
    assert probe(plan(["-m", "seed=1,2"])) == "no setting of the contrastive loss is swept"


def rows_of(*arguments):
    lines = run_effects(one(*arguments)).splitlines()
    return {line.split()[0]: line for line in lines[1:-1]}


def test_every_setting_of_a_single_run():
    rows = rows_of("loss=ant_gap")
    assert set(rows) == set(loss_settings())
    for key in ("ant_margin", "loss.temperature", "loss.gap_beta", "loss.gap_target", "loss.negatives"):
        assert rows[key].endswith("loss and gradient"), key
    assert rows["loss.reference_grad"].endswith("  gradient")
    for key in ("loss.topk", "loss.softplus_tau", "margin_schedule.epochs", "margin_schedule.unit"):
        assert rows[key].endswith("nothing: not used"), key
    assert rows_of("loss=infonce")["loss.reference"].endswith("nothing")
    assert "cannot be combined with margin_schedule=curriculum" in rows_of("loss=ant_curriculum")["ant_margin"]


@pytest.mark.parametrize("loss", ["ant", "ant_adaptive", "ant_curriculum", "infonce"])
def test_what_is_tried_differs_from_what_is_set(loss):
    from cil.config.typed import flat

    values = flat(one(f"loss={loss}").effective)
    assert all(another_value(key, values[key]) != values[key] for key in loss_settings())


def test_the_command_probes_and_trains_nothing(tmp_path):
    done = train("loss=infonce", "probe=true", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "nothing was trained" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_warns_by_itself(tmp_path):
    arguments = ["-m", *changed(TINY, "loss=infonce", "trainer.max_tasks=1", "ant_margin=0.1,0.2")]
    done = train(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    warning = "ant_margin = 0.1, 0.2: changes neither loss nor gradient (measured on a probe batch)"
    lines = done.stdout.splitlines()
    table = lines.index(f"warning: {warning}")
    assert lines[table + 1].startswith("state ")
    content = json.loads((tmp_path / "outputs/sweeps/tiny/sweep.json").read_text())
    assert content["warnings"] == [warning]
    silent = train(*arguments, "probe=false", cwd=tmp_path)
    assert "changes neither" not in silent.stdout + silent.stderr
