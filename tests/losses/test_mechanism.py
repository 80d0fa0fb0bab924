"""The eight operators on one matrix, against plain loops; and what is exactly true of them."""

import math
from dataclasses import replace
from statistics import mean

import pytest
import torch

from cil.config.schema import LossConfig, Negatives, Reference
from cil.losses.mechanism import OPERATORS, matrix_figures, operator_figures
from cil.losses.settings import LossSettings
from cil.losses.similarity import cosine_matrix, split_pairs
from cil.losses.violations import ant_term
from tests.losses.batches import batch
from tests.losses.naive import Naive

MARGIN = 0.3
LABELS = torch.tensor([3, 1, 3, 3, 0, 1, 0])


@pytest.fixture
def looked():
    anchors, columns = batch(len(LABELS), seed=2)
    similarity = cosine_matrix(anchors, columns).detach()
    return anchors, columns, similarity, matrix_figures(similarity, LABELS, MARGIN, LossSettings.of(LossConfig()))


def naive_of(anchors, columns, operator) -> Naive:
    cfg = LossConfig(negatives=operator.negatives, reference=operator.reference)
    return Naive(anchors, columns, MARGIN, LossSettings.of(cfg))


def largest(naive: Naive, operator) -> list[tuple[int, int]]:
    """The pairs that the negatives are compared with."""
    if operator.reference is Reference.anchor:
        rows = sorted({i for i, _ in naive.pairs})
        return [max((p for p in naive.pairs if p[0] == row), key=lambda p: naive.sims[p[0]][p[1]]) for row in rows]
    return [max(naive.pairs, key=lambda p: naive.sims[p[0]][p[1]])]


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)
def test_shares_equal_plain_loops(looked, operator):
    anchors, columns, _, figures = looked
    naive = naive_of(anchors, columns, operator)
    labels, images = LABELS.tolist(), len(LABELS)

    assert figures[f"{operator.name}/active_share"] == pytest.approx(naive.stats()["violation_rate"], abs=1e-6)
    expected = naive.false_negative_share(labels)
    assert figures[f"{operator.name}/false_negative_share"] == pytest.approx(expected, abs=1e-6)
    same = [labels[i % images] == labels[j % images] for i, j in naive.pairs]
    assert figures[f"{operator.name}/enrichment"] == pytest.approx(expected / mean(map(float, same)), abs=1e-5)
    own = [float(labels[i % images] == labels[j % images]) for i, j in largest(naive, operator)]
    assert figures[f"{operator.name}/own_class_reference"] == pytest.approx(mean(own))


def finite_difference(similarity, function, step=1e-6) -> torch.Tensor:
    gradient = torch.zeros_like(similarity)
    for i in range(len(similarity)):
        for j in range(len(similarity)):
            up, down = similarity.clone(), similarity.clone()
            up[i, j] += step
            down[i, j] -= step
            gradient[i, j] = (function(up) - function(down)) / (2 * step)
    return gradient


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)
def test_gradients_are_those_of_the_definition(looked, operator):
    """ANT by plain loops, differentiated numerically; detached: with the references held where they are."""
    anchors, columns, similarity, figures = looked
    naive = naive_of(anchors, columns, operator)
    rows = sorted({i for i, _ in naive.pairs})
    reference = {pair: naive.reference[pair] for pair in naive.pairs}

    def ant(matrix, detached: bool) -> float:
        total = 0.0
        for row in rows:
            mine = [p for p in naive.pairs if p[0] == row]
            whole = mine if operator.reference is Reference.anchor else naive.pairs
            top = max(matrix[p].item() for p in whole)
            terms = [matrix[p].item() - (reference[p] if detached else top) + MARGIN for p in mine]
            total += math.log(sum(math.exp(max(v, 0)) for v in terms))
        return total / len(rows)

    def info(matrix) -> float:
        size = len(matrix)
        losses = []
        for i in range(size):
            others = sum(math.exp(matrix[i, j].item() / 0.2) for j in range(size) if j != i)
            losses.append(math.log(others) - matrix[i, (i + size // 2) % size].item() / 0.2)
        return mean(losses)

    connected, detached = (finite_difference(similarity, lambda m, d=d: ant(m, d)) for d in (False, True))
    nce = finite_difference(similarity.clone(), info)

    ratio = float(detached.norm() / connected.norm())
    assert figures[f"{operator.name}/detached_norm"] == pytest.approx(ratio, rel=1e-4)
    for name, gradient in ((operator.name, connected), (f"{operator.name}_detached", detached)):
        cosine = (gradient * nce).sum() / (gradient.norm() * nce.norm())
        assert figures[f"{name}/cosine_nce"] == pytest.approx(cosine.item(), abs=1e-4)
        at = [gradient[pair].item() for pair in largest(naive, operator)]
        assert figures[f"{name}/reference_raised"] == pytest.approx(mean(float(g < -1e-9) for g in at))
        assert figures[f"{name}/reference_lowered"] == pytest.approx(mean(float(g > 1e-9) for g in at))


def test_the_positives_are_as_in_infonce(looked):
    anchors, columns, _, figures = looked
    naive = naive_of(anchors, columns, OPERATORS[2])
    size = len(naive.sims)

    def probability(i: int) -> float:
        others = sum(math.exp(naive.sims[i][j] / 0.2) for j in range(size) if j != i)
        return math.exp(naive.sims[i][(i + size // 2) % size] / 0.2) / others

    assert figures["positive_probability"] == pytest.approx(mean(probability(i) for i in range(size)))
    assert figures["negatives_above_positive"] == pytest.approx(naive.stats()["negatives_above_positive"], abs=1e-6)
    same = [int(LABELS[i % 7]) == int(LABELS[j % 7]) for i, j in naive.pairs]
    assert figures["own_class_share"] == pytest.approx(sum(same) / len(same), abs=1e-6)


@pytest.mark.parametrize("negatives", Negatives)
@pytest.mark.parametrize("reference", Reference)
@pytest.mark.parametrize("seed", range(5))
def test_connected_and_detached_have_equal_values_and_masks_bit_for_bit(negatives, reference, seed):
    similarity = cosine_matrix(*batch(9, seed=seed))
    settings = replace(LossSettings.of(LossConfig()), negatives=negatives, reference=reference)
    block = split_pairs(similarity, negatives).negatives

    connected, detached = (ant_term(block, MARGIN, replace(settings, reference_grad=on)) for on in (True, False))

    assert torch.equal(connected.value, detached.value) and torch.equal(connected.violations, detached.violations)


@pytest.mark.parametrize("seed", range(20))
def test_connected_lowers_no_reference_and_detached_raises_none(seed):
    similarity = cosine_matrix(*batch(9, seed=seed)).detach()
    labels = torch.randint(0, 3, (9,), generator=torch.Generator().manual_seed(seed))

    found = operator_figures(similarity, labels, MARGIN, LossSettings.of(LossConfig()))

    for operator in OPERATORS:
        assert found[operator.name]["reference_lowered"] == 0
        assert found[f"{operator.name}_detached"]["reference_raised"] == 0
        assert found[f"{operator.name}_detached"]["reference_lowered"] == 1


def test_a_single_image_has_no_figures_and_no_error():
    similarity = cosine_matrix(*batch(1)).detach()

    figures = matrix_figures(similarity, torch.tensor([0]), MARGIN, LossSettings.of(LossConfig()))

    assert figures["first_anchor/active_share"].isnan()
