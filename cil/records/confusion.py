"""confusion.npz: which test images each head took for which class, after every task.

Counts, not pictures: `numpy.load("confusion.npz")` reads them without this project. An array is called
`task_03.classifier` and is int32 [C, C], true class (row) by predicted class (column), in task order.
"""

import io
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cil.errors import DataError
from cil.files import write_bytes_atomically

FILE = "confusion.npz"
Confusions = dict[int, dict[str, np.ndarray]]
"""Task (from 1) -> head -> counts int32 [C, C]."""
_NAME = re.compile(r"task_(\d+)\.(\w+)")


def write_confusions(folder: Path, confusions: Mapping[int, Mapping[str, np.ndarray]]) -> None:
    """Write the file into a run's folder. Raises OSError."""
    arrays = {f"task_{task:02d}.{head}": counts for task, heads in confusions.items() for head, counts in heads.items()}
    write_arrays(folder / FILE, arrays)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as a compressed .npz, whole or not at all. Raises OSError."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes_atomically(path, buffer.getvalue())


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """What `write_arrays` has written; empty where nothing can be read."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except Exception:  # a damaged archive raises zipfile's, zlib's and NumPy's own errors
        return {}


def read_confusions(folder: Path) -> Confusions:
    """What a run's folder holds; empty for a run of 0.1.0, which wrote none. Raises DataError for a damaged file."""
    path = folder / FILE
    found: Confusions = {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for name in arrays.files:
                match = _NAME.fullmatch(name)
                if match is not None:
                    found.setdefault(int(match[1]), {})[match[2]] = arrays[name]
    except FileNotFoundError:
        return {}
    except Exception as error:  # a damaged archive raises zipfile's, zlib's and NumPy's own errors
        raise DataError(f"{path}: cannot be read: {str(error) or type(error).__name__}") from None
    return found
