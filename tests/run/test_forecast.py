"""The forecast is exact, cheap, and changes nothing."""

import time
from dataclasses import replace

import pytest
import torch

from cil.config.methods import available_methods, uses
from cil.config.schema import OnOom, Precision
from cil.data.stream import TaskStream, class_order, task_sizes
from cil.methods import make_method
from cil.planning.plan import compose_jobs
from cil.records.folder import RunFolder
from cil.run import forecast as forecast_module
from cil.run.forecast import describe, dry_steps, forecast_once, grown, make_forecast, what_helps
from tests.engine.test_loop import assert_equal_weights, make_trainer, train

CPU = torch.device("cpu")


def job(*overrides):
    config = compose_jobs(list(overrides))[0].config
    stream = TaskStream(class_order("natural", 0, 10), task_sizes(config.split, 10), list("0123456789"))
    return config, stream.tasks[: config.trainer.max_tasks]


@pytest.mark.parametrize("method", available_methods())
@pytest.mark.parametrize("overrides", [(), ("split=joint",), ("trainer.max_tasks=1",), ("split.sizes=[3,1,2]",)])
def test_the_parameters_are_those_of_the_real_network(method, overrides):
    config, tasks = job(f"method={method}", *overrides)
    real = make_method(config)
    for task in tasks:
        real.begin_task(task)
        for phase in range(len(real.phases(task))):
            real.begin_phase(phase)
    forecast = make_forecast(config, tasks, CPU)
    assert forecast["parameters"] == sum(p.numel() for p in real.network.parameters())
    assert forecast["tasks"] == len(tasks)
    memory = 200 if "memory" in uses(method) else 0
    assert forecast["exemplar_bytes"] == memory * 3 * 8 * 8
    assert forecast["peak_bytes"] is None


def test_the_grown_network_has_no_memory():
    network = grown(*job()).network
    assert all(tensor.is_meta for tensor in (*network.parameters(), *network.buffers()))
    assert len(network.ts_nets) == 5


def test_no_random_number_is_drawn_from_a_shared_stream():
    before = torch.get_rng_state()
    make_forecast(*job(), CPU)
    assert torch.equal(before, torch.get_rng_state())


def test_ten_resnet18_tasks_take_a_moment():
    """Timed against growing them for real in the same process, as the machine may be busy."""
    config, tasks = job("backbone=resnet18", "split.base=1", "split.increment=1")
    torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)  # its imports are paid by every run
    started = time.process_time()
    forecast = make_forecast(config, tasks, CPU)
    seconds = time.process_time() - started
    assert forecast["parameters"] > 10 * 11e6
    assert seconds < 2


def test_dry_steps_train_the_last_tasks_network_without_an_effect():
    config, tasks = job()
    method = grown(config, tasks)
    before = torch.get_rng_state()
    dry_steps(method, config, tasks[-1].known, CPU)
    assert torch.equal(before, torch.get_rng_state())
    trained = [p for p in method.network.parameters() if p.requires_grad]
    assert all(p.grad is not None for p in trained)


def test_results_are_the_same_with_and_without():
    without = train()
    with_forecast = make_trainer()
    make_forecast(with_forecast.config, with_forecast.tasks, CPU)
    method = grown(with_forecast.config, with_forecast.tasks)
    dry_steps(method, with_forecast.config, with_forecast.tasks[-1].known, CPU)
    with_forecast.run()
    assert_equal_weights(without, with_forecast)


def test_it_is_told_noted_and_kept(tmp_path, capsys):
    config, tasks = job()
    folder = RunFolder(tmp_path)
    folder.begin()
    first = forecast_once(config, folder, tasks, CPU)
    assert "parameters" in capsys.readouterr().out
    again = RunFolder(tmp_path)
    again.begin()
    assert again.noted("forecast") == first
    assert forecast_once(config, again, tasks, CPU) == first
    assert capsys.readouterr().out == ""
    off = replace(config, trainer=replace(config.trainer, forecast=False))
    assert forecast_once(off, again, tasks, CPU) is None


def test_the_lines_for_people():
    config, _ = job()
    facts = {"tasks": 10, "parameters": 142421881, "exemplar_bytes": 6144000, "device": "cuda"}
    one, two = describe(facts | {"peak_bytes": 5_300_000_000}, config)
    assert one == "forecast: 142.4 M parameters (569.7 MB) in task 10, 200 exemplars (6.1 MB of pixels)"
    assert two == "forecast: a training step of task 10 takes 5.3 GB of GPU memory"
    assert "does not fit" in describe(facts | {"peak_bytes": None}, config)[1]
    assert "trainer.batch_size (now 64)" in describe(facts | {"peak_bytes": None}, config)[1]
    assert len(describe(facts | {"device": "cpu", "peak_bytes": None}, config)) == 1


def test_a_shared_budget_is_told_with_both_ends():
    config, tasks = job("method=replay", "memory.total_mb=0.5")
    forecast = make_forecast(config, tasks, CPU)
    sizes = [301_000 + 520 * task for task in range(5)]
    assert forecast["budget"] == {"model_bytes": sizes, "exemplars": [(500_000 - size) // 192 for size in sizes]}
    assert forecast["exemplar_bytes"] == 192 * 1025
    one, two = describe(forecast, config)
    assert one.endswith("in task 5, 1025 exemplars (196.8 kB of pixels)")
    assert two == (
        "forecast: memory.total_mb=0.5 is shared by model and exemplars: 301.0 kB and 1036 images after task 1, "
        "303.1 kB and 1025 images after task 5"
    )
    assert "budget" not in make_forecast(*job(), CPU)


def test_one_of_several_processes_forecasts_its_share_of_a_batch(monkeypatch):
    config, tasks = job("trainer.max_tasks=2", "trainer.batch_size=9")
    seen = []
    monkeypatch.setattr(forecast_module, "backward", lambda method, views, targets, *rest: seen.append(len(targets)))
    for processes in (1, 4):
        monkeypatch.setenv("WORLD_SIZE", str(processes))
        monkeypatch.setenv("RANK", "0")
        dry_steps(grown(config, tasks), config, tasks[-1].known, CPU)
    assert seen == [9, 9, 3, 3]


def test_what_is_in_use_already_is_not_recommended():
    config, _ = job()
    assert "trainer.micro_batches (now 1)" in what_helps(config, "cuda")
    assert "loss.chunk_rows" in what_helps(config, "cuda")
    assert "chunk_rows" not in what_helps(job("loss.chunk_rows=64")[0], "cuda")
    assert "chunk_rows" not in what_helps(job("method=replay")[0], "cuda")
    assert "bf16" in what_helps(config, "cuda")
    assert "on_oom" in what_helps(config, "cuda")
    assert "on_oom" not in what_helps(config, "cpu"), "micro-batches are for the memory of a GPU"
    saving = replace(config.trainer, precision=Precision.bf16, on_oom=OnOom.accumulate)
    assert "bf16" not in what_helps(replace(config, trainer=saving), "cuda")
    assert "on_oom" not in what_helps(replace(config, trainer=saving), "cuda")


@pytest.mark.cuda
def test_the_peak_is_that_of_the_real_step():
    device = torch.device("cuda")
    config, tasks = job("backbone=resnet18", "trainer.deterministic=true")
    before = torch.cuda.memory_allocated(device)
    forecast = make_forecast(config, tasks, device)
    assert torch.cuda.memory_allocated(device) == before
    real = make_method(config)
    for task in tasks:
        real.begin_task(task)
    torch.cuda.reset_peak_memory_stats(device)
    dry_steps(real, config, tasks[-1].known, device)
    assert abs(torch.cuda.max_memory_allocated(device) / forecast["peak_bytes"] - 1) < 0.1


@pytest.mark.parametrize("name", ["bic", "foster"])
def test_dry_steps_train_what_the_main_phase_trains(name):
    config, tasks = job(f"method={name}", "trainer.max_tasks=2", "trainer.batch_size=8")
    method = grown(config, tasks)
    dry_steps(method, config, tasks[-1].known, CPU)
    assert max(parameter.numel() for parameter in method.network.parameters() if parameter.grad is not None) > 1000
