"""When frozen networks are run by a graph; on CUDA, that the graph says the same."""

import threading

import pytest
import torch

from cil.config.schema import FrozenForm
from cil.models import frozen_graph
from cil.models.folding import FrozenForward
from cil.models.frozen_graph import Captured, GraphedRun
from tests.models.test_folding import frozen, images


class Recorder:
    """Stands for a capture: remembers what was captured and what was replayed."""

    def __init__(self):
        self.captured, self.replayed = [], []

    def __call__(self, run, images):
        self.captured.append(len(images))

        def replay(images):
            self.replayed.append(len(images))
            return run(images)

        return replay


def rows(count: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.arange(3.0 * count).reshape(count, 3).to(dtype)


@torch.no_grad()
def test_full_batches_by_the_graph_and_a_short_last_one_without():
    capture = Recorder()
    graphed = GraphedRun(capture)
    for count in (8, 8, 8, 5, 8, 8, 5):
        assert torch.equal(graphed(torch.sin, rows(count)), torch.sin(rows(count)))
    assert capture.captured == [8]
    assert capture.replayed == [8, 8, 8, 8]


@torch.no_grad()
def test_another_shape_that_stays_replaces_it():
    capture = Recorder()
    graphed = GraphedRun(capture)
    for count in (8, 8, 4, 4, 4):
        graphed(torch.sin, rows(count))
    assert capture.captured == [8, 4]
    assert capture.replayed == [8, 4, 4]


@torch.no_grad()
def test_another_dtype_or_autocast_is_another_graph():
    capture = Recorder()
    graphed = GraphedRun(capture)
    for dtype in (torch.float32, torch.float32, torch.float64, torch.float64):
        graphed(torch.sin, rows(4, dtype))
    with torch.autocast("cpu", torch.bfloat16):
        graphed(torch.sin, rows(4, torch.float64))
        graphed(torch.sin, rows(4, torch.float64))
    assert capture.captured == [4, 4, 4]


@torch.no_grad()
def test_after_a_capture_that_fails_it_goes_on_without_and_says_so_once(monkeypatch):
    said = []
    monkeypatch.setattr(frozen_graph.logger, "warning", lambda *words: said.append(words))
    tried = []

    def failing(run, images):
        tried.append(len(images))
        raise RuntimeError("operation failed due to a previous error during capture\nmore")

    frozen_graph._warn.cache_clear()
    for _ in range(2):
        graphed = GraphedRun(failing)
        for count in (8, 8, 8, 4, 4):
            assert torch.equal(graphed(torch.sin, rows(count)), torch.sin(rows(count)))
    assert tried == [8, 8]
    assert len(said) == 1
    assert said[0][-1].endswith("previous error during capture")


@torch.no_grad()
def test_a_capture_that_runs_out_of_memory_is_not_hidden():
    def failing(run, images):
        raise torch.OutOfMemoryError("no memory")

    graphed = GraphedRun(failing)
    graphed(torch.sin, rows(8))
    with pytest.raises(torch.OutOfMemoryError):
        graphed(torch.sin, rows(8))


def test_never_where_gradients_are_wanted():
    capture = Recorder()
    graphed = GraphedRun(capture)
    for _ in range(3):
        graphed(torch.sin, rows(4))
    assert not capture.captured


def test_on_a_cpu_there_is_none():
    run, net = FrozenForward(graphs=True), frozen()
    assert torch.equal(run(net, images()), net(images()))
    assert not run._prepared


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("form", list(FrozenForm), ids=lambda form: form.name)
@torch.no_grad()
def test_on_cuda_graph_and_network_say_the_same(form):
    net = frozen().cuda()
    plain, graphed = FrozenForward(form), FrozenForward(form, graphs=True)
    for count in (4, 4, 4, 3, 4):
        x = torch.randn(count, 3, 32, 32, device="cuda")
        torch.testing.assert_close(graphed(net, x), plain(net, x), rtol=1e-5, atol=1e-5)
    assert isinstance(graphed._prepared[net].graphed._graph, Captured)
    net.stem[1].running_mean += 1  # a graph of what was there before would not know
    for _ in range(3):
        torch.testing.assert_close(graphed(net, x), plain(net, x), rtol=1e-5, atol=1e-5)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@torch.no_grad()
def test_on_cuda_a_thread_that_pins_memory_does_not_disturb_a_capture():
    def run(images):
        pinning = threading.Thread(target=lambda: torch.empty(2**20 + len(images)).pin_memory())
        pinning.start()
        pinning.join()
        return images + 1

    x = torch.ones(4, device="cuda")
    assert torch.equal(Captured(run, x)(x), x + 1)
