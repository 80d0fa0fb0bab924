import copy

import pytest
import torch
import torch.nn.functional as F

from cil.config.schema import BackboneConfig, BranchInit, LossConfig, MarginScheduleConfig, RunConfig, TagFexConfig
from cil.data.stream import Task
from cil.methods.tagfex import TagFex


def tagfex(loss: LossConfig | None = None, **method: object) -> TagFex:
    config = RunConfig(
        ant_margin=0.1,
        backbone=BackboneConfig(name="resnet8", projector_hidden=16, projector_out=8),
        method=TagFexConfig(**method),
        loss=loss or LossConfig(),
        margin_schedule=MarginScheduleConfig(),
    )
    return TagFex(config)


def begin(method: TagFex, *sizes: int) -> TagFex:
    for size in sizes:
        known, number = method.network.known, len(method.network.ts_nets) + 1
        method.begin_task(Task(number, tuple(range(known, known + size)), ("x",) * size, known))
    method.network.train()
    method.begin_epoch(0, 1)
    return method


def batch(images: int, targets: list[int] | None = None, classes: int = 4, seed: int = 0):
    draws = torch.Generator().manual_seed(seed)
    views = torch.randn(2 * images, 3, 8, 8, generator=draws)
    labels = torch.randint(0, classes, (images,), generator=draws) if targets is None else torch.tensor(targets)
    return views, labels


def train_steps(method: TagFex, steps: int = 2) -> None:
    trained = [p for p in method.network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1, momentum=0.9, weight_decay=5e-4)
    for number in range(steps):
        optimizer.zero_grad()
        step(method, *batch(6, classes=method.network.known, seed=number)).total.backward()
        optimizer.step()


def step(method: TagFex, views: torch.Tensor, targets: torch.Tensor):
    return method.loss(method.network(views), targets)


def state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def assert_same(module: torch.nn.Module, before: dict[str, torch.Tensor]) -> None:
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_frozen_branches_and_teacher_never_move():
    method = begin(tagfex(), 2, 2, 2)
    frozen = torch.nn.ModuleList([*method.network.ts_nets[:-1], method.network.teacher])
    before = state(frozen)
    train_steps(method)
    assert_same(frozen, before)
    method.network.eval()
    method.predict(batch(4)[0])
    method.network.train()
    train_steps(method)
    assert_same(frozen, before)


def test_evaluation_changes_nothing():
    method = begin(tagfex(), 2, 2)
    before = state(method.network)
    method.network.eval()
    method.predict(batch(4)[0])
    method.network.train()
    assert_same(method.network, before)


def test_the_teacher_is_the_task_agnostic_net_at_the_end_of_the_previous_task():
    method = begin(tagfex(), 2)
    train_steps(method)
    ta_net, projector = state(method.network.ta_net), state(method.network.projector)
    begin(method, 2)
    train_steps(method)
    assert_same(method.network.teacher.ta_net, ta_net)
    assert_same(method.network.teacher.projector, projector)


@pytest.mark.parametrize("init", BranchInit)
def test_start_of_a_new_task_specific_net(init):
    method = begin(tagfex(init=init, init_factor=0.75), 2)
    train_steps(method)
    previous, agnostic = method.network.ts_nets[0], method.network.ta_net
    begin(method, 2)
    net = method.network.ts_nets[1]
    fresh = [name for name, buffer in net.named_buffers() if name.endswith("running_mean") and buffer.any()]
    assert not fresh, "running statistics must start fresh"
    for new, old, ta in zip(net.parameters(), previous.parameters(), agnostic.parameters(), strict=True):
        if init is BranchInit.interpolate:
            torch.testing.assert_close(new, 0.75 * old + 0.25 * ta)
        elif init is BranchInit.copy:
            assert torch.equal(new, old)
    if init is BranchInit.fresh:
        first, second = net.stem[0].weight, previous.stem[0].weight
        assert not torch.allclose(first, second)


def test_what_survives_a_task_and_what_is_new():
    method = begin(tagfex(), 2, 2)
    train_steps(method)
    net = method.network
    predictor, attention = state(net.predictor), state(net.attention)
    aux, transfer = net.aux_head, net.transfer_head
    begin(method, 3)
    assert_same(net.predictor, predictor)
    assert not torch.equal(net.attention.query, attention["query"])
    assert torch.equal(net.attention.norm_specific.weight, torch.ones(64))
    assert net.aux_head is not aux and net.aux_head.out_features == 4
    assert net.transfer_head is not transfer and net.transfer_head.out_features == 3


@pytest.mark.parametrize("sizes", [(3,), (2, 2), (2, 1, 3)])
@pytest.mark.parametrize("loss", ["infonce", "ant"])
def test_weighted_terms_sum_to_the_total(sizes, loss):
    config = LossConfig(name=loss) if loss == "ant" else LossConfig(name=loss, ant_beta=None)
    method = begin(tagfex(config, contrast_weight=0.7, aux_weight=1.3, transfer_weight=0.4), *sizes)
    output = step(method, *batch(6, classes=sum(sizes)))
    weights = method.loss_weights()
    assert output.terms.keys() == weights.keys()
    weighted = sum(weights[name] * term for name, term in output.terms.items())
    torch.testing.assert_close(weighted, output.total.detach())


def test_the_bracket_is_shared_in_proportion_to_the_old_classes():
    weights = begin(tagfex(contrast_weight=0.5, distill_weight=3.0), 6, 2).loss_weights()
    assert weights["contrast"] == pytest.approx(0.5 * 2 / 8)
    assert weights["distill"] == pytest.approx(0.5 * 3 * 6 / 8)


def naive_expansion_terms(method: TagFex, views, targets) -> dict[str, float]:
    """The definition, row by row."""
    net = method.network
    out = net(views)
    rows = torch.cat([targets, targets]).tolist()
    new = [i for i, y in enumerate(rows) if y >= net.old]
    aux = [F.cross_entropy(out.aux_logits[i], torch.tensor(max(0, y - net.old + 1))) for i, y in enumerate(rows)]
    cls = sum(F.cross_entropy(out.logits[i], torch.tensor(y)) for i, y in enumerate(rows)) / len(rows)
    terms = {"aux": sum(aux) / len(rows), "cls": cls, "trans_cls": 0.0, "transfer": 0.0}
    if new:
        losses = [F.cross_entropy(out.transfer_logits[i], torch.tensor(rows[i] - net.old)) for i in new]
        terms["trans_cls"] = sum(losses) / len(new)
        if terms["trans_cls"] < cls:
            divergences = []
            for i in new:
                p = torch.softmax(out.transfer_logits[i] / 2, 0)
                q = torch.softmax(out.logits[i, net.old :] / 2, 0)
                divergences.append((p * (p / q).log()).sum())
            terms["transfer"] = sum(divergences) / len(new)
    return {name: float(torch.as_tensor(value).detach()) for name, value in terms.items()}


@pytest.mark.parametrize(
    "targets",
    [[0, 1, 0, 1, 1], [2, 3, 2, 3, 3], [0, 2, 1, 3, 0], [3], [0]],
    ids=["old", "new", "mixed", "1new", "1old"],
)
def test_edge_batches_equal_the_definition(targets):
    method = begin(tagfex(), 2, 2)
    views, labels = batch(len(targets), targets)
    # The definition is evaluated on a copy: the forward pass of a training step moves batch-norm statistics.
    expected = naive_expansion_terms(copy.deepcopy(method), views, labels)
    output = step(method, views, labels)
    for name, value in expected.items():
        assert output.terms[name].item() == pytest.approx(value, abs=1e-5), name
    output.total.backward()
    for name, parameter in method.network.named_parameters():
        if parameter.grad is not None:
            assert parameter.grad.isfinite().all(), name


def test_transfer_needs_the_transfer_head_to_be_better():
    method = begin(tagfex(), 2, 2)
    views, labels = batch(4, [2, 3, 2, 3])
    with torch.no_grad():
        method.network.transfer_head.weight.mul_(100)
    output = step(method, views, labels)
    assert output.terms["trans_cls"] > output.terms["cls"]
    assert output.terms["transfer"] == 0
    assert output.stats["loss"]["transfer_active"].value == 0


@pytest.mark.parametrize("term", ["aux", "contrast", "distill", "trans_cls"])
def test_every_weight_changes_the_loss_and_zero_skips_the_term(term):
    plain = step(begin(tagfex(), 2, 2), *batch(6))
    off = step(begin(tagfex(**{f"{term}_weight": 0.0}), 2, 2), *batch(6))
    assert term in plain.terms
    assert term not in off.terms
    assert off.total != plain.total


def test_transfer_and_its_temperature_change_the_loss_where_transfer_acts():
    views, labels = batch(6, [2, 3, 2, 3, 2, 3])

    def total(**settings: float) -> torch.Tensor:
        method = begin(tagfex(**settings), 2, 2)
        with torch.no_grad():
            # A classifier that is sure of old classes: cls is large, so transfer acts.
            method.network.classifier.bias[:2] = 5
        output = step(method, views, labels)
        assert output.terms.get("transfer", 1) > 0
        return output.total

    reference = total()
    assert total(transfer_weight=0.5) != reference
    assert total(transfer_temperature=1.0) != reference


def test_gradients_reach_only_what_is_trained():
    method = begin(tagfex(contrast_weight=0.0), 2, 2)
    step(method, *batch(6)).total.backward()
    # Without the contrastive bracket nothing may train the task-agnostic net: attention sees it detached.
    assert all(p.grad is None for p in method.network.ta_net.parameters())
    assert all(p.grad is None for p in method.network.ts_nets[0].parameters())
    assert all(p.grad is not None for p in method.network.ts_nets[1].parameters())


def test_alignment_is_a_setting():
    for align in (True, False):
        method = begin(tagfex(align_weights=align), 2, 2)
        before = method.network.classifier.weight.clone()
        method.end_task()
        assert torch.equal(method.network.classifier.weight, before) != align


def test_the_contrastive_loss_is_told_the_classes_of_the_images_in_both_branches():
    method = begin(tagfex(), 2, 2)
    loss, seen = method.contrastive_loss, []

    def spy(anchors, columns, margin, labels, prototypes=None):
        seen.append((len(anchors), labels.tolist()))
        return loss(anchors, columns, margin, labels)

    method.contrastive_loss = spy
    step(method, *batch(4, targets=[3, 0, 2, 2]))
    assert seen == [(8, [3, 0, 2, 2])] * 2


def test_the_same_seed_gives_the_same_network_whatever_the_loss():
    infonce = begin(tagfex(LossConfig(name="infonce")), 2, 2).network.state_dict()
    ant = begin(tagfex(LossConfig(name="ant")), 2, 2).network.state_dict()
    assert all(torch.equal(infonce[name], ant[name]) for name in infonce)
