"""A step of N processes is the step of one, whatever the method."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.distributed.steps import copied, next_step, state_before
from tests.distributed.team import in_processes

# 24 images in the first task: steps 1 to 3 with batches of 10, the last of 4 images; step 4 is the first of task 2.
CASES: dict[str, tuple[list[str], int]] = {
    "tagfex-first": (["loss=infonce"], 1),
    "tagfex-short-batch": (["loss=ant_adaptive"], 3),
    "tagfex-second-task": (["loss=ant_adaptive"], 4),
    "tagfex-accumulated": (["loss=ant", "trainer.grad_clip_norm=1"], 5),
    "icarl": (["method=icarl"], 4),
    "der": (["method=der"], 4),
    "lwf": (["method=lwf"], 4),
    "wa": (["method=wa"], 4),
    "bic": (["method=bic"], 4),
    "memo": (["method=memo"], 4),
    "foster": (["method=foster"], 4),
    "replay": (["method=replay"], 4),
    "tagfex-in-parts": (["loss=ant", "trainer.micro_batches=3"], 4),
    "replay-in-many-parts": (["method=replay", "trainer.micro_batches=8"], 4),
    "tagfex-view-bank": (["loss=ant", "augment.view_bank=1", "trainer.micro_batches=2"], 4),
    "single-image": (["method=replay", "trainer.batch_size=23"], 2),
}


def overrides_of(name: str) -> list[str]:
    given = CASES[name][0]
    return given if any(text.startswith("trainer.batch_size") for text in given) else [*given, "trainer.batch_size=10"]


def steps_of(count: int, source: Path, target: Path) -> dict[str, Any]:
    """What the step of each case in `source` makes in `count` processes."""
    in_processes("tests.distributed.steps", count, str(source), str(target), output=target)
    return torch.load(target, weights_only=True)


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where each case starts from: what one process came to."""
    path = tmp_path_factory.mktemp("steps") / "states.pt"
    torch.save({name: (overrides_of(name), state_before(overrides_of(name), CASES[name][1])) for name in CASES}, path)
    return path


@pytest.fixture(scope="module")
def alone(states: Path) -> dict[str, Any]:
    """The step of one process."""
    return {name: next_step(*case) for name, case in copied(torch.load(states, weights_only=True)).items()}


@pytest.fixture(scope="module", params=[2, pytest.param(3, marks=pytest.mark.faults)])
def several(request: pytest.FixtureRequest, states: Path) -> dict[str, Any]:
    """The same step of 2 and of 3 processes."""
    return steps_of(request.param, states, states.with_name(f"{request.param}.pt"))


@pytest.mark.parametrize("name", CASES)
def test_a_step_of_several_processes_is_that_of_one(name, alone, several):
    ours, theirs = several[name], alone[name]
    # A gradient is the learning rate's tenfold of what it does to a parameter. A single image leaves batch-norm four
    # values to normalise in the last stage, which lifts the last bits.
    scale = 5 if name == "single-image" else 1
    for part, least in (("network", 1e-6 * scale), ("momentum", 1e-5 * scale)):
        assert ours[part].keys() == theirs[part].keys()
        for key, expected in theirs[part].items():
            assert (ours[part][key] - expected).abs().max() <= least, f"{part}: {key}"
    totals = [{n: v for group in one["stats"]["groups"] for n, v in named(group)} for one in (ours, theirs)]
    assert totals[0].keys() == totals[1].keys()
    for tag, expected in totals[1].items():
        torch.testing.assert_close(totals[0][tag], expected, rtol=1e-5, atol=1e-5, msg=lambda m, t=tag: f"{t}: {m}")


def named(group: dict[str, Any]) -> list[tuple[str, torch.Tensor]]:
    return [(f"{group['prefix']}/{name}", group["totals"][:2, i]) for i, name in enumerate(group["names"])]


@pytest.mark.faults
def test_a_step_is_the_same_bits_every_time(states):
    first, again = (steps_of(2, states, states.with_name(f"{name}.pt")) for name in ("once", "again"))
    for name, step in first.items():
        for key, value in step["network"].items():
            assert torch.equal(value, again[name]["network"][key]), (name, key)
