"""Loads an exported network in a process that cannot import this project, and compares what it says."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from torch import Tensor

from cil.errors import DataError

TOLERANCE = 1e-4
"""Largest difference of a logit, relative to the largest one."""
_PROGRAM = """
import sys
import numpy as np
sys.modules["cil"] = None  # cannot be imported
kind, path, arrays = sys.argv[1:4]
given = np.load(arrays)["images"]
if kind == "program":
    import torch
    network = torch.export.load(path).module()
    call = lambda images: network(torch.from_numpy(images))["logits"].detach().numpy()
else:
    import onnxruntime
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    call = lambda images: session.run(["logits"], {"images": images})[0]
np.save(sys.argv[4], np.concatenate([call(given[:1]), call(given[1:])]))
"""


def check_elsewhere(kind: str, path: Path, images: Tensor, logits: Tensor) -> float:
    """The largest difference from `logits` [N, C], N at least 2, as a share of the largest logit.

    kind: program or onnx. Batches of 1 and of N - 1 images are tried. Raises DataError where the file cannot be
    loaded without this project, or says something else.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, answered = Path(folder, "given.npz"), Path(folder, "answered.npy")
        np.savez(given, images=images.numpy())
        command = [sys.executable, "-I", "-c", _PROGRAM, kind, str(path.resolve()), str(given), str(answered)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
        if done.returncode or not answered.is_file():
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise DataError(f"{path}: cannot be used without this project: {reason}")
        difference = np.abs(np.load(answered) - logits.numpy()).max() / max(float(logits.abs().max()), 1e-12)
    if not difference <= TOLERANCE:
        raise DataError(f"{path}: gives other logits than the run's network (by {difference:.2g} of the largest)")
    return float(difference)
