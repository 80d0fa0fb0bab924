"""A loss in chunks of anchors is the loss at once: values, gradients, terms and statistics; and against plain loops."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

from cil.config.schema import Formulation, LossConfig, Negatives, Prototypes, Reference
from cil.errors import ConfigError
from cil.losses import available_losses
from cil.losses.base import LossOutput, make_loss
from cil.losses.chunks import cut
from cil.losses.gap import mean_gap
from cil.losses.settings import LossSettings
from cil.losses.similarity import cosine_matrix, off_diagonal, split_pairs
from cil.losses.survey import negatives_of, survey
from tests.losses.batches import EVERY_BLOCK, EVERY_FORM, batch
from tests.losses.naive import Naive

IMAGES, MARGIN = 7, 0.3
LABELS = torch.tensor([3, 1, 3, 0, 0, 1, 5])
FULL = LossConfig(ant_beta=0.7, topk=3, gap_beta=0.5, gap_target=1.2)
PRESETS = sorted((Path(__file__).parents[2] / "conf" / "loss").glob("*.yaml"))
RATIO = pytest.mark.parametrize("ratio", [None, 0.3])
FORMS = pytest.mark.parametrize(("negatives", "reference", "formulation"), EVERY_FORM)


def prototypes(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(3, 8, generator=torch.Generator().manual_seed(7), dtype=torch.float64).to(dtype)


def run(cfg: LossConfig, chunk_rows: int | None, alone: bool, dtype: torch.dtype) -> tuple[LossOutput, list[Tensor]]:
    """The output, and the gradients of the loss and of each of its terms in both sides."""
    anchors, columns = batch(IMAGES, seed=3, dtype=dtype)
    sides = [anchors] if alone else [anchors, columns]
    loss = make_loss(replace(cfg, chunk_rows=chunk_rows))
    output = loss(anchors, sides[-1], MARGIN, LABELS, prototypes(dtype))
    wanted = [output.loss, *output.parts.values()]
    again = {"retain_graph": True, "allow_unused": True, "materialize_grads": True}
    return output, [g for one in wanted for g in torch.autograd.grad(one, sides, **again)]


def assert_the_same(cfg: LossConfig, tolerance: float = 1e-12, dtype: torch.dtype = torch.float64) -> None:
    """Chunks of one image, and of two with one image left over; embeddings with others, and with themselves."""
    for alone in (False, True):
        whole, gradients = run(cfg, None, alone, dtype)
        for chunk_rows in (2, 5):
            output, found = run(cfg, chunk_rows, alone, dtype)
            assert list(output.parts) == list(whole.parts)
            assert list(output.stats) == list(whole.stats)
            values = {"loss": (output.loss, whole.loss)}
            values |= {name: (part, whole.parts[name]) for name, part in output.parts.items()}
            for name, (got, expected) in values.items():
                assert got.item() == pytest.approx(expected.item(), rel=tolerance, abs=tolerance), name
            for name, stat in whole.stats.items():
                got, near = output.stats[name], max(tolerance, 1e-7 if name == "false_negative_share" else 0)  # float32
                assert got.value.dtype == stat.value.dtype and not got.value.requires_grad
                assert float(got.value) == pytest.approx(float(stat.value), rel=near, abs=near), name
                assert float(got.weight) == pytest.approx(float(stat.weight), abs=1e-9), name
            for got, expected in zip(found, gradients, strict=True):
                assert (got - expected).abs().max() <= tolerance


@RATIO
@FORMS
def test_every_form(negatives, reference, formulation, ratio):
    form = {"negatives": negatives, "reference": reference, "formulation": formulation}
    assert_the_same(replace(FULL, **form, hard_negative_ratio=ratio))


@pytest.mark.parametrize(("negatives", "reference"), EVERY_BLOCK)
def test_every_form_in_float32(negatives, reference):
    cfg = replace(FULL, negatives=negatives, reference=reference, hard_negative_ratio=0.3)
    assert_the_same(cfg, 1e-6, torch.float32)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_every_preset(preset):
    known = LossConfig.__dataclass_fields__
    enums = {"negatives": Negatives, "reference": Reference, "formulation": Formulation, "prototypes": Prototypes}
    values: dict = {}
    for path in (PRESETS[0].with_stem("ant"), preset):
        values |= {key: value for key, value in yaml.safe_load(path.read_text()).items() if key in known}
    assert_the_same(LossConfig(**{k: enums[k][v] if k in enums else v for k, v in values.items()}))


CHANGES = {
    "reference_grad": {"reference_grad": False},
    "global_reference_grad": {"reference_grad": False, "reference": Reference["global"]},
    "ant_term": {"ant_term": False},
    "open_gap": {"gap_target": 2.0},
    "closed_gap": {"gap_target": -1.0},
    "no_gap": {"gap_beta": 0.0},
    "nce_alpha": {"nce_alpha": 0.0},
    "nothing": {"nce_alpha": 0.0, "ant_term": False, "gap_beta": 0.0},
    "negatives": {"prototypes": Prototypes.negatives},
    "repel": {"prototypes": Prototypes.repel, "prototype_delta": -0.2},
    "repel_negatives_all": {"prototypes": Prototypes.repel, "negatives": Negatives.all},
}


@pytest.mark.parametrize("name", available_losses())
@pytest.mark.parametrize("change", CHANGES)
def test_every_other_key(name, change):
    if name == "infonce" and "nce_alpha" in CHANGES[change]:
        pytest.skip("nothing is left of it")
    assert_the_same(replace(FULL, name=name, **CHANGES[change]))


@RATIO
@FORMS
def test_equals_the_plain_loop(negatives, reference, formulation, ratio):
    form = {"negatives": negatives, "reference": reference, "formulation": formulation}
    cfg = replace(FULL, **form, hard_negative_ratio=ratio, chunk_rows=4)
    anchors, columns = batch(5, seed=5)

    output = make_loss(cfg)(anchors, columns, MARGIN)

    naive = Naive(anchors, columns, MARGIN, LossSettings.of(cfg)).stats()
    assert output.stats.keys() == naive.keys()
    for name, value in naive.items():
        assert float(output.stats[name].value) == pytest.approx(value, abs=1e-10), name


@RATIO
@pytest.mark.parametrize(("negatives", "reference"), EVERY_BLOCK)
def test_gradients_equal_finite_differences(negatives, reference, ratio):
    cfg = replace(FULL, negatives=negatives, reference=reference, hard_negative_ratio=ratio, chunk_rows=4)
    anchors, columns = batch(4, width=3, seed=4)
    assert torch.autograd.gradcheck(lambda a, c: make_loss(cfg)(a, c, 0.37).loss, (anchors, columns), fast_mode=True)


@RATIO
@pytest.mark.parametrize(("negatives", "reference"), EVERY_BLOCK)
def test_ties_are_broken_alike(negatives, reference, ratio):
    """Three equal images, whose similarities to each other are the largest: reference and kept ones are tied."""
    cfg = replace(FULL, negatives=negatives, reference=reference, hard_negative_ratio=ratio)
    rows = batch(6, seed=6)[0].detach()
    rows[[2, 4, 5]], rows[[8, 10, 11]] = rows[0].clone(), rows[0].clone()
    found = []
    for chunk_rows in (None, 2, 4):
        leaf = rows.clone().requires_grad_()
        output = make_loss(replace(cfg, chunk_rows=chunk_rows))(leaf, leaf, MARGIN)
        output.loss.backward()
        found.append((output.loss.detach(), leaf.grad))
    for loss, gradient in found[1:]:
        assert abs(loss - found[0][0]) <= 1e-12
        assert (gradient - found[0][1]).abs().max() <= 1e-12


def test_a_batch_that_fits_is_compared_at_once_bit_for_bit():
    for rows in (2 * IMAGES, 2 * IMAGES + 1, 1000):
        (whole, gradients), (output, found) = (run(FULL, rows_, False, torch.float32) for rows_ in (None, rows))
        assert torch.equal(output.loss, whole.loss)
        assert all(torch.equal(a, b) for a, b in zip(found, gradients, strict=True))
        assert all(torch.equal(stat.value, whole.stats[name].value) for name, stat in output.stats.items())


def test_chunks_are_what_is_computed(monkeypatch):
    """No matrix of more than `chunk_rows` rows is ever made, in the loss and in all that is found before."""
    seen = []
    real = split_pairs
    monkeypatch.setattr("cil.losses.chunks.split_pairs", lambda s, *rest: seen.append(s.shape) or real(s, *rest))
    monkeypatch.setattr("cil.losses.base.compare", None)
    run(replace(FULL, reference=Reference["global"], hard_negative_ratio=0.3), 5, False, torch.float32)
    assert set(seen) == {(4, 14), (2, 14)}


def test_without_gradient_none_is_computed(monkeypatch):
    cfg = replace(FULL, reference=Reference["global"], chunk_rows=4)
    anchors, columns = batch(IMAGES)
    wanted = make_loss(cfg)(anchors, columns, MARGIN).loss
    monkeypatch.setattr("torch.autograd.grad", None)
    with torch.no_grad():
        quiet = make_loss(cfg)(anchors, columns, MARGIN).loss
    assert not quiet.requires_grad
    assert torch.equal(quiet, wanted.detach())
    assert not make_loss(cfg)(anchors.detach(), columns.detach(), MARGIN).loss.requires_grad


def test_columns_without_gradient_get_none_and_inputs_are_left_alone():
    anchors, columns = batch(IMAGES)
    copies = anchors.detach().clone(), columns.detach().clone()
    state = torch.get_rng_state()
    make_loss(replace(FULL, chunk_rows=4))(anchors, columns.detach(), MARGIN).loss.backward()
    assert anchors.grad is not None and anchors.grad.any() and columns.grad is None
    assert torch.equal(anchors, copies[0]) and torch.equal(columns, copies[1])
    assert torch.equal(torch.get_rng_state(), state)


def test_half_precision_and_autocast_are_as_at_once():
    rows = batch(IMAGES, dtype=torch.bfloat16)[0].detach()
    found = []
    for chunk_rows in (None, 4):
        leaf = rows.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = make_loss(replace(FULL, chunk_rows=chunk_rows))(leaf, leaf, MARGIN)
        output.loss.backward()
        assert output.loss.dtype == torch.float32 and leaf.grad.dtype == torch.bfloat16
        found.append((output.loss.detach(), leaf.grad.float()))
    assert abs(found[0][0] - found[1][0]) <= 1e-6
    assert (found[0][1] - found[1][1]).abs().max() <= 2**-8 * found[0][1].abs().max()


@pytest.mark.parametrize("negatives", Negatives)
def test_what_is_known_of_the_whole_batch(negatives):
    anchors, columns = batch(IMAGES, seed=2)
    cfg = LossConfig(negatives=negatives, reference=Reference["global"], hard_negative_ratio=0.3, chunk_rows=4)
    pairs = split_pairs(cosine_matrix(anchors, columns), negatives)
    groups, size = negatives_of(IMAGES, negatives)

    whole = survey(cut(anchors, columns, MARGIN, LossSettings.of(cfg)))

    assert pairs.negatives.flatten(1).shape == (groups, size)
    assert float(whole.gap) == pytest.approx(float(mean_gap(pairs).detach()), abs=1e-12)
    assert torch.equal(whole.reference, pairs.negatives.amax((1, 2), keepdim=True))
    assert whole.hardest.count == groups * math.ceil(0.3 * size)


@pytest.mark.parametrize("first", range(5))
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_a_strip_of_a_square_without_its_diagonal(first, rows):
    square = torch.arange(2.0 * 3 * 25).view(2, 3, 5, 5)
    strip = square[..., first : first + rows, :]
    assert torch.equal(off_diagonal(strip, first), off_diagonal(square)[..., first : first + rows, :])


OVER_PAIRS = """
from cil.losses.statistics import Terms

def build(cfg):
    return lambda compared: Terms({"spread": compared.similarity.std()})
"""


def test_a_formula_that_is_no_mean_over_anchors_is_refused(tmp_path, monkeypatch):
    (tmp_path / "spread.py").write_text(OVER_PAIRS)
    monkeypatch.setattr("cil.losses.__file__", str(tmp_path / "__init__.py"))
    monkeypatch.setattr("cil.losses.__path__", [str(tmp_path)])
    make_loss(LossConfig(name="spread"))
    with pytest.raises(ConfigError, match=r"^loss\.chunk_rows: loss=spread .*valid: null$"):
        make_loss(LossConfig(name="spread", chunk_rows=4))


@pytest.mark.parametrize("rows", [torch.ones(3, 4), torch.ones(9, 4), torch.ones(8)])
def test_other_shapes_are_refused(rows):
    with pytest.raises(ValueError, match=r"expected two \[2B, D\] tensors"):
        make_loss(replace(FULL, chunk_rows=2))(rows, rows, MARGIN)


def test_labels_of_another_shape_and_prototypes_without_labels_are_refused():
    loss = make_loss(replace(FULL, chunk_rows=2))
    with pytest.raises(ValueError, match="one label"):
        loss(*batch(4), MARGIN, LABELS)
    with pytest.raises(ValueError, match="labels"):
        loss(*batch(4), MARGIN, None, prototypes())


def test_few_pairs_with_prototypes_are_shared_out_to_the_chunks():
    anchors, columns = batch(8, seed=3, dtype=torch.float64)
    labels, one = torch.tensor([0] * 7 + [1]), prototypes()[:1]
    cfg = LossConfig(prototypes=Prototypes.repel, prototype_weight=1.0)
    whole, *chunked = [
        make_loss(replace(cfg, chunk_rows=rows))(anchors, columns, MARGIN, labels, one).parts["repel"].item()
        for rows in (None, 2, 4)
    ]
    assert whole > 0
    assert chunked == pytest.approx([whole, whole], rel=1e-12)
