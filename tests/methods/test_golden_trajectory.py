"""Three tasks of TagFex, step by step in float64, against figures of the reference implementation."""

import json
import re

import numpy as np
import pytest
import torch

from cil.config.schema import BackboneConfig, LossConfig, MarginScheduleConfig, RunConfig, TagFexConfig
from cil.data.stream import Task
from cil.engine.optim import make_optimizer
from cil.methods.phases import Phase
from cil.methods.tagfex import TagFex
from tests.devices import DEVICES
from tests.golden_files import golden

TERMS = ("cls", "contrast", "aux", "distill", "trans_cls", "transfer")
RENAMED = [
    (r"\bconv_1_3x3\b", "stem.0"),
    (r"\bbn_1\b", "stem.1"),
    (r"\bstage_(\d)\b", lambda m: f"stages.{int(m[1]) - 1}"),
    (r"\bconv_a\b", "conv1"),
    (r"\bbn_a\b", "norm1"),
    (r"\bconv_b\b", "conv2"),
    (r"\bbn_b\b", "norm2"),
    (r"\baux_classifier\b", "aux_head"),
    (r"\btrans_classifier\b", "transfer_head"),
    (r"\bts_attn\b", "attention"),
    (r"\bweight_q\b", "query"),
    (r"\bweight_k_ts\b", "key_specific"),
    (r"\bweight_k_ta\b", "key_agnostic"),
    (r"\bweight_v_ts\b", "value_specific"),
    (r"\bweight_v_ta\b", "value_agnostic"),
    (r"\bnorm_ts\b", "norm_specific"),
    (r"\bnorm_ta\b", "norm_agnostic"),
]


def our_name(name: str) -> str:
    for pattern, replacement in RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def load_start(network: torch.nn.Module, figures, task: int) -> None:
    prefix, device = f"task{task}_start/", next(network.parameters()).device
    state = {
        our_name(name.removeprefix(prefix)): torch.from_numpy(figures[name]).double().to(device)
        for name in figures.files
        if name.startswith(prefix)
    }
    own = network.state_dict()
    if task == 1:
        assert state.keys() == own.keys()
    else:
        fresh = {name for name in own if name.split(".")[0] in ("aux_head", "transfer_head", "attention", "classifier")}
        fresh |= {name for name in own if name.startswith("predictor.") and task == 2}
        assert state.keys() == fresh
        old = network.old
        width = own["classifier.weight"].shape[1] - network.width
        grown = own["classifier.weight"][:old]
        assert not grown[:, width:].any()
        torch.testing.assert_close(grown, state["classifier.weight"][:old], atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(own["classifier.bias"][:old], state["classifier.bias"][:old], atol=1e-6, rtol=1e-6)
    network.load_state_dict(own | state)


def images(array: np.ndarray) -> torch.Tensor:
    return (torch.from_numpy(array).double() / 255 - 0.5) / 0.25


def close(ours, theirs) -> None:
    torch.testing.assert_close(
        torch.as_tensor(ours, dtype=torch.float64).cpu(),
        torch.as_tensor(theirs, dtype=torch.float64).cpu(),
        rtol=1e-8,
        atol=1e-8,
    )


@pytest.mark.golden
@pytest.mark.parametrize("device", DEVICES)
def test_golden_trajectory(device):
    plan = json.loads(golden("tagfex_trajectory.json").read_text())
    figures = np.load(golden("tagfex_trajectory.npz"))
    config = RunConfig(
        ant_margin=0.1,
        backbone=BackboneConfig(name="resnet20", projector_hidden=48, projector_out=24),
        method=TagFexConfig(attention_heads=4, transfer_temperature=plan["transfer_temperature"]),
        loss=LossConfig(name="infonce", temperature=plan["temperature"]),
        margin_schedule=MarginScheduleConfig(),
    )
    method = TagFex(config)
    method.network.double().to(device)
    test_images = images(figures["test_images"]).to(device)
    log = iter(plan["log"])
    first = 0
    for number, size in enumerate(plan["task_sizes"], 1):
        method.begin_task(Task(number, tuple(range(first, first + size)), tuple(map(str, range(size))), first))
        method.network.to(device)
        first += size
        load_start(method.network, figures, number)
        if number > 1:
            parameters = list(method.network.ts_nets[-1].parameters())
            checksum = [sum(p.sum() for p in parameters), sum(p.abs().sum() for p in parameters)]
            close(torch.stack(checksum), figures[f"task{number}_start_new_ts_checksum"])
        decay = plan["weight_decay"][number - 1]
        phase = Phase(epochs=1, lr=plan["lr"], weight_decay=decay)
        optimizer = make_optimizer(method.network.parameters(), phase, plan["momentum"])
        method.network.train()
        method.begin_epoch(0, 1)
        for step in range(plan["steps_per_task"]):
            key = f"task{number}_step{step}"
            views = torch.cat([images(figures[f"{key}_view1"]), images(figures[f"{key}_view2"])])
            targets = torch.from_numpy(figures[f"{key}_targets"])
            output = method.loss(method.network(views.to(device)), targets.to(device))
            optimizer.zero_grad()
            output.total.backward()
            optimizer.step()
            expected = next(log)
            assert (expected["task"], expected["step"]) == (number, step)
            close(output.total.detach(), expected["total"])
            assert list(output.terms) and output.terms.keys() == {term for term in TERMS if term in expected}
            for term in output.terms:
                close(output.terms[term], expected[term])
            if "transfer_active" in expected:
                assert bool(output.stats["loss"]["transfer_active"].value) == expected["transfer_active"]
        method.network.eval()
        close(method.predict(test_images).logits, figures[f"task{number}_test_logits_before_align"])
        method.end_task()
        prediction = method.predict(test_images)
        close(prediction.logits, figures[f"task{number}_test_logits"])
        close(prediction.features, figures[f"task{number}_test_features"])
