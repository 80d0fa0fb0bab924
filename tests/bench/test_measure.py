"""What bench.json holds, and how its figures hang together. No time is compared with a number."""

import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from cil.bench import parts
from cil.bench.flops import network_flops
from cil.bench.images import IMAGES
from cil.bench.measure import measure
from cil.bench.options import PARTS, Options, measured_job
from cil.bench.peaks import PEAKS, peak_flops
from cil.bench.show import shown
from cil.bench.subject import Subject
from cil.config.methods import available_methods
from cil.config.schema import Precision
from cil.engine.build import build_data
from cil.engine.divergence import Diverged, Place

DIGITS = ["dataset.max_train_per_class=12", "dataset.max_test_per_class=8", "trainer.batch_size=8"]
CIFAR = ["dataset=cifar100", "split=10-10", "backbone=resnet8", "trainer.batch_size=4", "trainer.eval_batch_size=8"]


def bench(words, tmp_path, **options):
    job, made_up = measured_job(words)
    wanted = Options(words, steps=1, rounds=2, out=tmp_path / "bench.json", **options)
    return measure(job, made_up, wanted, say=lambda text: None)


def subject(*words):
    job, _ = measured_job([*DIGITS, *words])
    return Subject(job.config, build_data(job.config))


def figures(value):
    """Every figure with rounds in a record."""
    if isinstance(value, dict):
        if "rounds" in value:
            yield value
        else:
            for one in value.values():
                yield from figures(one)
    elif isinstance(value, list):
        for one in value:
            yield from figures(one)


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return bench(DIGITS, tmp_path_factory.mktemp("bench"))


def test_every_part_is_there_in_the_tasks_that_the_split_has(record):
    tasks = {part: [one["task"] for one in found] for part, found in record["figures"].items()}
    each, once = [1, 2, 5], [1]
    assert tasks == {part: each if part in parts.EVERY_TASK else once for part in PARTS}
    assert record["hours"]["measured_tasks"] == each


def test_every_figure_has_its_rounds(record):
    found = list(figures(record["figures"]))
    assert len(found) > 30
    for one in found:
        assert len(one["rounds"]) == 2
        assert (one["min"], one["max"]) == (min(one["rounds"]), max(one["rounds"]))
        assert one["min"] <= one["median"] <= one["max"]
        assert all(value > 0 and math.isfinite(value) for value in one["rounds"])


def test_rates_are_images_over_seconds(record):
    for part in set(PARTS) - {"checkpoint"}:
        for one in record["figures"][part]:
            rates = [one["images"] / seconds for seconds in one["seconds"]["rounds"]]
            assert one["images_per_second"]["rounds"] == rates


def test_what_a_step_is_compared_with(record):
    for one in record["figures"]["step"]:
        seconds, bare = one["seconds"]["rounds"], one["bare_seconds"]["rounds"]
        assert one["bare_share"]["rounds"] == [b / s for b, s in zip(bare, seconds, strict=True)]
        assert one["flops_per_second"]["rounds"] == [one["flops"] / s for s in seconds]
        assert one["peak_bytes"] > one["parameters"]
    flops, sizes = ([one[name] for one in record["figures"]["step"]] for name in ("flops", "parameters"))
    assert flops == sorted(set(flops)) and sizes == sorted(set(sizes)), "each task adds a network"


def test_machine_and_versions(record):
    assert record["machine"]["device"] == "cpu"
    assert record["machine"]["threads"] == torch.get_num_threads()
    assert {"cil", "python", "torch"} <= record["versions"].keys()
    assert record["settings"]["trainer"]["batch_size"] == 8
    assert (record["images"], record["schema_version"]) == ("real", 1)


def test_hours_are_the_sum_of_their_parts(record):
    hours = record["hours"]
    assert hours["total"] == pytest.approx(hours["training"] + hours["evaluation"] + hours["saving"])
    assert sum(hours["by_task"].values()) == pytest.approx(hours["training"])
    for one in record["figures"]["step"]:
        seconds = one["seconds"]["median"] * hours["steps_by_task"][str(one["task"])]
        assert hours["by_task"][str(one["task"])] * 3600 == pytest.approx(seconds)


def test_without_images_they_are_made_up(tmp_path):
    record = bench([*CIFAR, "trainer.max_tasks=2"], tmp_path, tasks=(1, 2), only=("step", "evaluation", "loading"))
    assert record["images"] == "made up"
    train, test = IMAGES["cifar100"]
    epochs = record["settings"]["trainer"]
    # Task 2 has 10 classes of its own, and 2,000 exemplars of the first ones.
    assert record["hours"]["steps_by_task"] == {
        "1": 10 * train // 4 * epochs["init_epochs"],
        "2": (10 * train + 2000) // 4 * epochs["inc_epochs"],
    }
    assert [one["images"] for one in record["figures"]["evaluation"]] == [8, 8]
    assert 10 * test > 8


def test_made_up_images_need_no_image_files(tmp_path):
    words = ["dataset=imagenet100", "backbone=resnet8", "dataset.image_size=72", "trainer.batch_size=2"]
    record = bench(words, tmp_path, tasks=(1,), only=("step",))
    assert record["figures"]["step"][0]["images"] == 2


@pytest.mark.parametrize("method", available_methods())
def test_every_method_is_measured_and_learns_nothing(method):
    measured = subject(f"method={method}")
    measured.grow(1)
    for number in (1, 3):
        task = measured.grow(number) if number > 1 else measured.task
        expected = len(measured.trainer.training_set.expected_targets(task))
        assert len(measured.trainer.training_set.images(task)[0]) == expected
        before = {name: p.detach().clone() for name, p in measured.method.network.named_parameters()}
        batches = measured.batches()
        measured.step(next(batches))
        measured.bare(next(batches).views)
        for name, parameter in measured.method.network.named_parameters():
            assert torch.equal(parameter, before[name]), name
            # Nothing of the bare networks' gradient is left for the next step to add to.
            assert parameter.grad is None, name


# The counter does not know the attention of this processor, so TagFex's is counted on shapes alone.
@pytest.mark.parametrize(("method", "unknown"), [("tagfex", 0.01), ("replay", 0), ("der", 0)])
def test_operations_are_those_of_the_network_that_is_trained(method, unknown):
    measured = subject(f"method={method}")
    for number in (1, 3):
        measured.grow(number)
        views = next(measured.batches()).views
        with FlopCounterMode(display=False) as counter:
            measured.bare(views)
        flops = network_flops(measured.config, measured.trainer.tasks[:number], 8)
        assert flops == pytest.approx(counter.get_total_flops(), rel=unknown)


def test_operations_of_a_convolution_by_hand():
    # ResNet-8's stem on 8 x 8 pixels, 3 channels in: it is differentiated for its weights alone.
    measured = subject("method=finetune")
    measured.grow(1)
    stem = measured.method.network.backbone.stem[0]
    with FlopCounterMode(display=False) as counter:
        stem(torch.zeros(2, 3, 8, 8)).sum().backward()
    side = 8 // stem.stride[0]
    assert counter.get_total_flops() == 2 * 2 * (2 * side * side * stem.out_channels * 3 * 9)


def test_peaks_by_the_driver_s_name():
    assert peak_flops("NVIDIA H100 PCIe", Precision.bf16)[0] == 756e12
    assert peak_flops("NVIDIA H100 80GB HBM3", Precision.fp32)[0] == 67e12
    assert peak_flops("NVIDIA H200", Precision.fp16)[0] == 989e12
    assert peak_flops("NVIDIA A100-SXM4-80GB", Precision.fp32)[0] == 19.5e12
    assert peak_flops("NVIDIA GeForce RTX 4090", Precision.bf16)[0] == 165.2e12
    assert peak_flops("NVIDIA GeForce RTX 4090 Laptop GPU", Precision.bf16) is None
    assert peak_flops("NVIDIA A1000", Precision.fp32) is None
    assert peak_flops("AMD EPYC", Precision.fp32) is None
    assert all(source for _, _, source in PEAKS.values())


def test_a_part_without_result_says_why(tmp_path, monkeypatch):
    def full(bench):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    def diverged(bench):
        raise Diverged(Place(1, 1, 1), {"loss/total": math.inf})

    monkeypatch.setitem(parts.EVERY_TASK, "step", full)
    monkeypatch.setitem(parts.EVERY_TASK, "evaluation", diverged)
    record = bench([*DIGITS, "method=finetune"], tmp_path, tasks=(1,), only=("step", "evaluation", "herding", "loss"))
    assert {part: found[0]["skipped"].split(":")[0] for part, found in record["figures"].items()} == {
        "step": "out of memory",
        "evaluation": "training diverged in task 1, epoch 1, step 1",
        "herding": "no exemplars are kept",
        "loss": "method=finetune has no contrastive loss",
    }
    assert record["hours"] is None
    assert "step in task 1: not measured, out of memory" in shown(record)
