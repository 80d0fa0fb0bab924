"""What a run does before and around training."""

import pytest
import torch

from cil.engine.build import resolve_device
from cil.run.process import start_clean


@pytest.mark.parametrize(("name", "index"), [("auto", 0), ("cuda", 0), ("cuda:1", 1)])
def test_the_current_cuda_device_is_the_runs(monkeypatch, name, index):
    """torch.cuda.set_device takes no device without a number."""
    chosen = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    for action in ("empty_cache", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, action, lambda *_: None)
    start_clean(resolve_device(name))
    assert chosen == [index]
