"""Weights of the statistics over an epoch; the values of a batch are compared in test_ant.py."""

import pytest
import torch

from cil.config.schema import LossConfig, Negatives
from cil.engine.epoch_stats import EpochStats
from cil.losses.base import make_loss
from cil.losses.settings import LossSettings
from tests.losses.batches import batch
from tests.losses.naive import Naive

SIZES = (5, 3, 2)


@pytest.mark.parametrize("negatives", Negatives)
def test_epoch_values_are_pooled_or_weighted_by_images(negatives):
    cfg = LossConfig(negatives=negatives, hard_negative_ratio=0.5)
    loss, epoch, margin = make_loss(cfg), EpochStats(), 0.3
    naive = []
    for images in (*SIZES, 1):
        anchors, columns = batch(images, seed=images)
        epoch.add("contrast", loss(anchors, columns, margin).stats)
        if images > 1:
            naive.append(Naive(anchors, columns, margin, LossSettings.of(cfg)))
    got = epoch.compute()
    batches = [each.stats() for each in naive]
    violations = [v for each in naive for v in each.violations.values()]
    active = [v for v in violations if v > 0]
    weights = [len(each.pairs) for each in naive]
    above = [each["negatives_above_positive"] for each in batches]
    special = {
        "negatives_above_positive": sum(w * x for w, x in zip(weights, above, strict=True)) / sum(weights),
        "violation_rate": len(active) / len(violations),
        "violation_mean": sum(active) / len(active),
        "hard_gap_min": min(each["hard_gap_min"] for each in batches),
    }
    counted_alone = {"nce", "ant", "gap_loss", "total", "pos_mean", "margin"}
    for name in batches[0].keys() - special.keys() - counted_alone:
        special[name] = sum(size * each[name] for size, each in zip(SIZES, batches, strict=True)) / sum(SIZES)
    for name, value in special.items():
        assert got[f"contrast/{name}"] == pytest.approx(value, abs=1e-10), name
    # A batch of one image has an InfoNCE (of 0), an ANT and a positive, but no negative.
    images = sum(SIZES) + 1
    nce = sum(size * each["nce"] for size, each in zip(SIZES, batches, strict=True)) / images
    assert got["contrast/nce"] == pytest.approx(nce, abs=1e-10)
    assert got["contrast/margin"] == pytest.approx(margin)


def test_an_epoch_of_single_images_has_no_figures_about_negatives():
    epoch = EpochStats()
    for seed in range(3):
        epoch.add("contrast", make_loss(LossConfig())(*batch(1, seed=seed), 0.3).stats)
    got = epoch.compute()
    assert {name for name, value in got.items() if value is not None} == {
        f"contrast/{name}" for name in ("nce", "ant", "gap_loss", "total", "margin", "pos_mean")
    }


def test_without_active_negatives_there_is_no_violation_mean():
    epoch = EpochStats()
    epoch.add("", make_loss(LossConfig())(*batch(4), 0.0).stats)
    got = epoch.compute()
    assert got["violation_mean"] is None
    assert got["violation_rate"] == 0


def test_kept_statistics_come_only_with_a_ratio():
    names = [set(make_loss(LossConfig(hard_negative_ratio=ratio))(*batch(4), 0.3).stats) for ratio in (None, 0.5)]
    assert names[1] - names[0] == {"kept_violation_rate", "kept_neg_mean"}


def test_statistics_ignore_the_ratio():
    plain, hard = (make_loss(LossConfig(hard_negative_ratio=r))(*batch(6), 0.3).stats for r in (None, 0.3))
    for name in plain.keys() - {"ant", "total", "ant_above_floor"}:
        assert torch.equal(plain[name].value, hard[name].value), name


@pytest.mark.parametrize("negatives", Negatives)
def test_active_negatives_of_the_anchors_own_class_are_counted_from_the_labels(negatives):
    cfg, labels = LossConfig(negatives=negatives), torch.tensor([3, 1, 3, 3, 0, 1])
    anchors, columns = batch(6)

    stats = make_loss(cfg)(anchors, columns, 0.4, labels).stats

    expected = Naive(anchors, columns, 0.4, LossSettings.of(cfg)).false_negative_share(labels.tolist())
    assert 0 < expected < 1
    assert stats["false_negative_share"].value.item() == pytest.approx(expected)
    assert "false_negative_share" not in make_loss(cfg)(anchors, columns, 0.4).stats
