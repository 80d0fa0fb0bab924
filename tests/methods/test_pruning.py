"""TagFex-P: task-specific nets are pruned when their task ends, and everything after that is of what is left."""

import json

import pytest
import torch
from torch import nn

import cil
from cil.data.herding import class_mean
from cil.engine.model_size import model_size, sizes_by_task
from cil.errors import ConfigError, DataError
from cil.export.cli import main as export_main
from cil.models.pruning import pruned
from tests.engine.test_loop import assert_equal_weights, make_trainer, train, untimed
from tests.finished import Finished, train_finished

RATIO = "prune.ratio=0.3"


@pytest.fixture(scope="module")
def trained():
    return train(RATIO)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return train_finished(
        tmp_path_factory.mktemp("pruned"), method="tagfex", **{"prune.ratio": 0.3, "backbone.projector_hidden": 16}
    )


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_off_is_todays_run():
    plain, off = train(), train("prune.ratio=0")
    assert_equal_weights(plain, off)
    assert list(map(untimed, plain.observer.epochs)) == list(map(untimed, off.observer.epochs))
    assert list(map(untimed, plain.task_end.task_records)) == list(map(untimed, off.task_end.task_records))
    assert "unpruned" not in off.method.state_dict()
    assert "unpruned_bytes" not in off.task_end.task_records[-1]


def test_the_first_task_is_trained_alike_and_what_follows_is_not():
    off, on = train("trainer.max_tasks=1"), train("trainer.max_tasks=1", RATIO)
    trained = [untimed({k: v for k, v in r.items() if not k.startswith("test/")}) for r in off.observer.epochs]
    assert trained == [untimed({k: v for k, v in r.items() if not k.startswith("test/")}) for r in on.observer.epochs]
    # The net that is left is the trained one without the filters.
    left = pruned(off.method.network.ts_nets[0], 0.3).state_dict()
    assert all(torch.equal(tensor, left[key]) for key, tensor in on.method.network.ts_nets[0].state_dict().items())
    assert torch.equal(on.method.network.classifier.weight, off.method.network.classifier.weight)


def test_exemplars_means_and_evaluation_are_of_the_pruned_nets(trained):
    task_end, method = trained.task_end, trained.method
    method.network.eval()
    indices = task_end.memory.all_indices()
    features = task_end.evaluator.features(method, "train", indices)
    sizes = [len(chosen) for chosen in task_end.memory.indices.values()]
    means = torch.stack([class_mean(part) for part in features.split(sizes)])
    assert torch.equal(means, task_end.class_means)
    again = task_end._evaluate(trained.tasks[-1], means)["test"].overall()
    assert {f"task/{kind}": value for kind, value in again.items()}.items() <= trained.observer.tasks[-1].items()


def test_every_size_is_known_beforehand_and_recorded_with_what_it_was(trained):
    records, whole = trained.task_end.task_records, train().task_end.task_records
    told = sizes_by_task(trained.config, [task.size for task in trained.tasks])
    assert [(r["parameters"], r["model_bytes"]) for r in records] == [(size.parameters, size.bytes) for size in told]
    assert model_size(trained.method) == told[-1]
    before = [(r["unpruned_parameters"], r["unpruned_bytes"]) for r in records]
    assert before == [(r["parameters"], r["model_bytes"]) for r in whole]
    assert all(r["model_bytes"] < 0.75 * r["unpruned_bytes"] for r in records)
    network = trained.method.network
    assert records[-1]["parameters"] == sum(map(count, network.ts_nets)) + count(network.classifier)


@pytest.mark.parametrize("init", ["interpolate", "copy"])
def test_the_next_net_starts_from_the_one_before_pruning(init: str):
    off, on = (make_trainer(f"method.init={init}", "trainer.max_tasks=1", *more) for more in ((), (RATIO,)))
    for trainer in (off, on):
        trainer.run()
        trainer.begin_task(trainer.data.stream.tasks[1])
    expected = off.method.network.ts_nets[1].state_dict()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in on.method.network.ts_nets[1].state_dict().items())
    assert on.method.network.unpruned is None and "unpruned" not in on.method.state_dict()
    assert count(on.method.network.ts_nets[0]) < count(on.method.network.ts_nets[1])


def test_a_state_taken_before_pruning_stays_whole():
    trainer = make_trainer(RATIO, "trainer.max_tasks=1")
    before = {}
    finish = trainer.task_end.finish

    def remember(*arguments):
        state = trainer.method.state_dict()
        before.update(live=state, copy={key: t.clone() for key, t in state["network"].items()})
        return finish(*arguments)

    trainer.task_end.finish = remember
    trainer.run()
    assert all(torch.equal(tensor, before["copy"][key]) for key, tensor in before["live"]["network"].items())
    assert "unpruned" not in before["live"]


def test_the_budget_holds_and_leaves_room_for_more_exemplars():
    budget = "memory.total_mb=0.9115"
    off, on = train(budget), train(budget, RATIO)
    for records in (off.task_end.task_records, on.task_end.task_records):
        assert all(r["model_bytes"] + r["exemplar_bytes"] <= 0.9115e6 for r in records)
    assert on.task_end.task_records[-1]["exemplars"] > off.task_end.task_records[-1]["exemplars"]


def test_a_finished_run_is_loaded_evaluated_and_exported(finished: Finished, tmp_path):
    run = cil.load(finished.path)
    last = run.result["tasks"][-1]
    for task in (1, 2, 3):
        model = run.model(task=task)
        assert count(nn.ModuleList(model.method.deployed())) == run.result["tasks"][task - 1]["parameters"]
    assert last["parameters"] < last["unpruned_parameters"]
    stored = json.loads((finished.path / "result.json").read_text())["matrices"]["top1"]
    copied = finished.copy(tmp_path)
    evaluated = cil.load(copied).evaluate(parts=["matrix"])
    assert evaluated["matrices"]["top1"] == stored and not evaluated["differences"]
    assert export_main([str(finished.path), f"folder={tmp_path / 'out'}"]) == 0
    assert (tmp_path / "out/model.pt2").is_file()


def test_a_branch_equals_the_unbroken_run(finished: Finished, tmp_path):
    branch = cil.train(f"rerun={finished.path}", from_task=1, folder=tmp_path / "branch")
    whole = json.loads((finished.path / "result.json").read_text())
    assert branch.result["matrices"] == whole["matrices"]
    with pytest.raises(ConfigError, match=r"prune\.ratio: a branch keeps"):
        cil.train(f"rerun={finished.path}", from_task=1, folder=tmp_path / "other", **{"prune.ratio": 0.1})


def test_a_model_that_does_not_fit_the_ratio_is_refused(finished: Finished, tmp_path):
    path = finished.copy(tmp_path)
    config = (path / "config.yaml").read_text()
    (path / "config.yaml").write_text(config.replace("ratio: 0.3", "ratio: 0.5"))
    result = json.loads((path / "result.json").read_text())
    del result["settings"]  # older versions noted none
    (path / "result.json").write_text(json.dumps(result))
    with pytest.raises(DataError, match="does not fit its config"):
        cil.load(path).model()
