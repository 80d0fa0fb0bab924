"""Out of memory: one line that names the task and what helps."""

import json

import pytest
import torch

from cil.methods.tagfex import TagFex
from cil.planning.plan import compose_jobs
from cil.run.experiment import run_experiment
from cil.run.out_of_memory import OutOfMemory
from tests.engine.test_loop import SMALL

CUDA_MESSAGE = "CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has a total capacity of 8 GiB of which ..."
CPU_MESSAGE = "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"


def run(folder, monkeypatch, error, task=2):
    original = TagFex.parts

    def parts(self, views, targets):
        if len(self.network.ts_nets) == task:
            raise error
        return original(self, views, targets)

    monkeypatch.setattr(TagFex, "parts", parts)
    (job,) = compose_jobs([*SMALL, "tracking.tensorboard=false", "tracking.progress=false"])
    run_experiment(job, folder, resume=False)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError(CUDA_MESSAGE), RuntimeError(CPU_MESSAGE)])
def test_status_names_the_task_and_what_helps(tmp_path, monkeypatch, error):
    with pytest.raises(OutOfMemory) as caught:
        run(tmp_path, monkeypatch, error)
    text = str(caught.value)
    assert text.startswith("out of memory in task 2 of 3, epoch 1, step 1: ")
    assert "\n" not in text
    for setting in ("trainer.batch_size (now 10)", "trainer.precision=bf16", "backbone"):
        assert setting in text
    status = json.loads((tmp_path / "status.json").read_text())
    assert (status["state"], status["error"]) == ("failed", text)
    assert status["where"] == {"task": 2, "epoch": 1, "step": 1}


def test_in_an_evaluation_another_setting_helps(tmp_path, monkeypatch):
    def finish(*_):
        raise torch.OutOfMemoryError(CUDA_MESSAGE)

    monkeypatch.setattr("cil.engine.task_end.TaskEnd.finish", finish)
    (job,) = compose_jobs([*SMALL, "tracking.tensorboard=false", "tracking.progress=false"])
    with pytest.raises(OutOfMemory, match=r"in the evaluation after task 1 of 3: .*trainer\.eval_batch_size"):
        run_experiment(job, tmp_path, resume=False)


def test_what_filled_the_memory_is_let_go(tmp_path, monkeypatch):
    with pytest.raises(OutOfMemory) as caught:
        run(tmp_path, monkeypatch, torch.OutOfMemoryError(CUDA_MESSAGE))
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


def test_other_errors_stay_what_they_are(tmp_path, monkeypatch):
    with pytest.raises(RuntimeError, match="something else"):
        run(tmp_path, monkeypatch, RuntimeError("something else"))
    assert json.loads((tmp_path / "status.json").read_text())["error"] == "RuntimeError: something else"
