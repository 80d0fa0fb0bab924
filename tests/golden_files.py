"""Where the golden figures are: tests/golden, or the folder that CIL_GOLDEN_DIR names."""

import os
from pathlib import Path

import pytest


def golden(name: str) -> Path:
    """Path of a golden file; skips the test if the folder does not have it."""
    folder = Path(os.environ.get("CIL_GOLDEN_DIR") or Path(__file__).parent / "golden")
    if not any(folder.glob("*.np[yz]")):
        pytest.fail(f"{folder} has no golden files")
    if not (folder / name).is_file():
        pytest.skip(f"{folder} has no {name}")
    return folder / name
