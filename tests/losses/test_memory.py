"""Large batches: how many matrices of the size of the similarities a step needs at its peak."""

import os
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

from cil.config.schema import Reference
options = dict(OPTIONS)
if "reference" in options:
    options["reference"] = Reference[options["reference"]]
loss = make_loss(LossConfig(negatives=Negatives.all, **options))
small = torch.randn(64, 16, requires_grad=True)
loss(small, small, 0.1).loss.backward()  # what libraries need when they start is none of the step's
rows = torch.randn(4096, 16, requires_grad=True)
before = peak()
loss(rows, rows, 0.1).loss.backward()
print((peak() - before) / (4 * 4096 * 4096))
"""


STEADY = {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
"""Every tensor of size gets pages of its own, given back with it: otherwise the peak depends on how the heap lies."""


def matrices(**options: object) -> float:
    command = [sys.executable, "-c", CODE.replace("OPTIONS", repr(options))]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | STEADY)
    return float(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_peak_of_a_step_with_statistics():
    """8,192 rows, a matrix of 256 MiB, have to fit into 2 GB: 7.8 matrices. (A smaller batch measures the heap.)"""
    assert 1 < matrices() < 7.8


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize("options", [{}, {"reference": "global", "hard_negative_ratio": 0.5}])
def test_peak_in_chunks(options):
    """The same in chunks of 128 rows, 2 MiB a matrix: of the order of a chunk's, not of the batch's."""
    assert matrices(chunk_rows=128, **options) < 0.6
