"""Large batches: how many matrices of the size of the similarities a step needs at its peak."""

import subprocess
import sys

import pytest

CODE = r"""
import re
import torch
from cil.config.schema import LossConfig, Negatives
from cil.losses.base import make_loss

def peak():
    # Not ru_maxrss: a child's begins at that of the process it was forked from.
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1])

loss = make_loss(LossConfig(negatives=Negatives.all))
small = torch.randn(64, 16, requires_grad=True)
loss(small, small, 0.1).loss.backward()  # what libraries need when they start is none of the step's
rows = torch.randn(4096, 16, requires_grad=True)
before = peak()
loss(rows, rows, 0.1).loss.backward()
print((peak() - before) / (4 * 4096 * 4096))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_peak_of_a_step_with_statistics():
    """8,192 rows, a matrix of 256 MiB, have to fit into 2 GB: 7.8 matrices. (A smaller batch measures the heap.)"""
    done = subprocess.run([sys.executable, "-c", CODE], check=True, capture_output=True, text=True)
    assert 1 < float(done.stdout) < 7.8
