"""The figures of the reference implementation, and figures by plain loops for what it lacks."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from cil.config.schema import Formulation, LossConfig, Negatives, Reference
from cil.losses.base import LossOutput, make_loss
from cil.losses.settings import LossSettings
from cil.losses.similarity import cosine_matrix, split_pairs
from cil.losses.violations import ant_term
from tests.devices import DEVICES
from tests.golden_files import golden

SAME_NAME = {
    "current_gap": "gap",
    "active_count_mean": "active_count",
    "viol_mean_act": "violation_mean",
    "raw_v_p90": "v_p90",
    "raw_v_p95": "v_p95",
    "ant_loss": "ant",
    "ant_loss_raw": "ant",
    "loss_nll": "nce",
    "loss_ant_loss": "ant",
    "loss_total": "total",
    "active_ratio": "violation_rate",
}


def config(case: dict[str, Any]) -> LossConfig:
    formulation = {"active_only": "active_mean"}.get(case["formulation"], case["formulation"])
    optional = ("hard_negative_ratio", "reference_grad", "gap_target", "gap_beta", "ant_term")
    return LossConfig(
        temperature=case["temperature"],
        nce_alpha=case["nce_alpha"],
        ant_beta=case["ant_beta"],
        negatives=Negatives[case["negatives"]],
        reference=Reference[case["reference"]],
        formulation=Formulation[formulation],
        softplus_tau=case["tau"],
        topk=case["topk"],
        **{key: case[key] for key in optional if key in case},
    )


def rows(
    case: dict[str, Any], arrays: Any, dtype: torch.dtype, device: str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Anchors (with gradient) and columns."""
    z, p = (torch.from_numpy(arrays[f"{side}_{case['inputs']}"]).to(device, dtype) for side in "zp")
    anchors = (z if case["kind"] == "contrast" else p).requires_grad_()
    return anchors, anchors if case["kind"] == "contrast" else z


def difference(got: torch.Tensor, wanted: Any) -> float:
    return float(np.abs(got.detach().cpu().numpy() - np.asarray(wanted)).max())


def run(case: dict[str, Any], arrays: Any, dtype: torch.dtype, device: str) -> tuple[LossOutput, float]:
    """The output, and the largest difference of a gradient entry."""
    anchors, columns = rows(case, arrays, dtype, device)
    output = make_loss(config(case))(anchors, columns, case["margin"])
    output.loss.backward()
    assert anchors.grad is not None
    return output, difference(anchors.grad, arrays[case["grad"]])


def recomputed(case: dict[str, Any], arrays: Any) -> dict[str, float]:
    """Figures of the reference that ours define otherwise or do not report."""
    anchors, columns = (side.detach() for side in rows(case, arrays, torch.float32))
    pairs = split_pairs(cosine_matrix(anchors, columns), Negatives[case["negatives"]])
    first = len(anchors) // 2
    hardest = pairs.negatives.amax(-1).flatten()[:first]
    sim_gap = pairs.positives[:first] - hardest
    term = ant_term(pairs.negatives, case["margin"], LossSettings.of(config(case)))
    v, below = term.violations, term.violations - case["margin"]
    extremes = {
        "pos": pairs.positives[:first],
        "neg": pairs.negatives,
        "gap": below,
        "raw_v": v,
    }
    values = {f"{name}_min": x.min() for name, x in extremes.items()}
    values |= {f"{name}_max": x.max() for name, x in extremes.items()}
    values |= {
        "gap_mean": below.mean(),
        "gap_std": below.std(),
        "raw_v_mean": v.mean(),
        "viol_mean_all": v.relu().mean(),
    }
    values |= {"viol_max_act": v.max() if (v > 0).any() else torch.tensor(0.0)}
    values |= {"hard_neg_sim": hardest.mean(), "sim_gap_mean": sim_gap.mean(), "sim_gap_min": sim_gap.min()}
    return {name: float(value) for name, value in values.items()} | {"num_neg_mean": pairs.negatives.shape[-1]}


def expected_names(case: dict[str, Any]) -> set[str]:
    """Statistics of a case that are compared; the adjusted value only where the two define it alike."""
    names = set(case["stats"])
    return names if case["formulation"] == "logsumexp" else names - {"ant_loss_adj"}


@pytest.mark.golden
@pytest.mark.parametrize("device", DEVICES)
def test_golden_contrastive(device: str) -> None:
    cases = json.loads(golden("contrastive.json").read_text())
    arrays = np.load(golden("contrastive.npz"))
    assert cases
    for number, case in enumerate(cases):
        output, gradient_difference = run(case, arrays, torch.float32, device)
        stats = {name: float(stat.value) for name, stat in output.stats.items()}
        ours = recomputed(case, arrays) | stats | {old: stats[new] for old, new in SAME_NAME.items()}
        ours["violation_pct"] = 100 * stats["violation_rate"]
        ours["ant_loss_adj"] = stats["ant_above_floor"]
        ours["loss_nce_weighted"] = case["nce_alpha"] * stats["nce"]
        ours["loss_ant_weighted"] = case["ant_beta"] * stats["ant"]
        assert abs(float(output.loss.detach()) - case["loss"]) <= 1e-5, (number, case["loss"])
        assert gradient_difference <= 1e-6, (number, gradient_difference)
        for name in expected_names(case):
            assert abs(ours[name] - case["stats"][name]) <= 1e-5, (number, name, ours[name], case["stats"][name])


@pytest.mark.golden
@pytest.mark.parametrize("device", DEVICES)
def test_golden_contrastive_extra(device: str) -> None:
    cases = json.loads(golden("contrastive_extra.json").read_text())
    arrays = np.load(golden("contrastive_extra.npz"))
    assert cases
    for number, case in enumerate(cases):
        output, gradient_difference = run(case, arrays, torch.float64, device)
        assert abs(float(output.loss.detach()) - case["loss"]) <= 1e-9, (number, case)
        assert gradient_difference <= 1e-9, (number, gradient_difference)
        for name, value in case["stats"].items():
            assert abs(float(output.stats[name].value) - value) <= 1e-9, (number, name)
