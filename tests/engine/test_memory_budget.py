"""memory.total_mb: model and exemplars stay inside the budget after every task, and everything is known beforehand."""

import time

import pytest
import torch

from cil.config.schema import MemoryConfig, MemoryPolicy
from cil.data.memory import ExemplarMemory, image_bytes
from cil.engine.memory_budget import images_by_known
from cil.errors import ConfigError
from cil.planning.plan import compose_jobs
from tests.engine.test_loop import assert_continues, make_trainer, train
from tests.engine.test_resume import Stop, StopAt

IMAGE = image_bytes(8)
# resnet8 with 2 classes is 301,000 bytes, and 520 more for every 2 classes: 15, 12 and 10 images are left.
TIGHT = ("method=replay", "memory.total_mb=0.304")


def config_of(*overrides):
    return compose_jobs(list(overrides))[0].config


@pytest.fixture(scope="module")
def tight():
    return train(*TIGHT)


def test_the_quota_by_hand(tight):
    assert tight.task_end.memory.sizes == {2: 15, 4: 12, 6: 10}
    assert [record["exemplars"] for record in tight.task_end.task_records] == [2 * 7, 4 * 3, 6 * 1]
    assert tight.config.memory.size is None


@pytest.mark.parametrize("overrides", [TIGHT, ("method=tagfex", "memory.total_mb=0.9115")])
def test_it_holds_after_every_task_and_the_work_is_exact(overrides):
    trainer = make_trainer(*overrides)
    expected = [len(trainer.training_set.expected_targets(task)) for task in trainer.tasks]
    trainer.run()
    records = trainer.task_end.task_records
    assert all(r["model_bytes"] + r["exemplar_bytes"] <= trainer.config.memory.total_mb * 1e6 for r in records)
    assert [r["train_images"] for r in records] == expected
    assert records[-1]["exemplars"] < records[-2]["exemplars"] * 1.5, "the last quota is a smaller one"


@pytest.mark.parametrize(("kind", "count"), [("task", 1), ("step", 10), ("evaluation", 10)])
def test_a_continued_run_keeps_the_same_exemplars(tight, kind, count):
    stopped = make_trainer(*TIGHT, observer=StopAt(kind, count))
    with pytest.raises(Stop):
        stopped.run()
    continued = make_trainer(*TIGHT)
    continued.load_state_dict(stopped.observer.state)
    continued.run()
    assert_continues(continued, tight)


def test_what_was_dropped_stays_dropped_when_a_model_shrinks():
    memory = ExemplarMemory(MemoryConfig(size=None), 8, {2: 10, 4: 8, 6: 60})
    assert [memory.quota(known) for known in (2, 4, 6)] == [5, 2, 2]


def test_the_fixed_policy_shares_among_all_classes():
    config = config_of("method=replay", "memory.total_mb=0.35", "memory.policy=fixed", "trainer.max_tasks=2")
    sizes = images_by_known(config, [2, 2], 10)
    assert sizes == {2: (350_000 - 301_000) // IMAGE, 4: (350_000 - 301_520) // IMAGE}
    memory = ExemplarMemory(config.memory, 10, sizes)
    assert config.memory.policy is MemoryPolicy.fixed
    assert memory.quota(2) == sizes[2] // 10


def test_too_small_a_budget_names_the_task_and_what_is_needed():
    with pytest.raises(
        ConfigError, match=r"^memory\.total_mb: 1 is less than the (1\.5\d+) MB .*tagfex.* task 5"
    ) as info:
        config_of("memory.total_mb=1")
    needed = str(info.value).rpartition("valid: ")[2].partition(" ")[0]
    assert config_of(f"memory.total_mb={needed}").memory.total_mb == float(needed), "the number itself is enough"
    with pytest.raises(ConfigError, match="less than"):
        config_of(f"memory.total_mb={float(needed) - 0.002}")


def test_tasks_that_are_not_run_need_nothing():
    assert config_of("memory.total_mb=1", "trainer.max_tasks=3").memory.total_mb == 1


def test_it_is_unused_where_there_is_no_memory():
    job, plain = compose_jobs(["method=finetune", "memory.total_mb=0.01"])[0], compose_jobs(["method=finetune"])[0]
    assert job.config.memory.total_mb is None and job.run_id == plain.run_id
    assert any("memory.total_mb: has no effect with method=finetune" in line for line in job.warnings)


def test_it_replaces_the_size():
    first, second = (
        compose_jobs(["method=replay", "memory.total_mb=1", f"memory.size={size}"])[0] for size in (50, 100)
    )
    assert first.run_id == second.run_id != compose_jobs(["method=replay"])[0].run_id
    assert any("memory.size: has no effect with memory.total_mb=1" in line for line in first.warnings)


def test_sizes_take_a_moment_and_no_random_number():
    before, started = torch.get_rng_state(), time.process_time()
    config = config_of("backbone=resnet18", "split.base=1", "split.increment=1", "memory.total_mb=1000")
    assert time.process_time() - started < 4
    started = time.process_time()
    assert images_by_known(config, [1] * 10, 10) is not None
    assert time.process_time() - started < 0.2, "kept for the other seeds of a sweep"
    assert torch.equal(before, torch.get_rng_state())
