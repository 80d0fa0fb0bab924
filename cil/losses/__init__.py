"""The contrastive losses. Importing this package imports no torch, so that configuration errors are instant.

A loss is a module of this package with a function `build(cfg: LossConfig) -> Formula` (cil/losses/base.py); the
module's name is the value of `loss.name`. Nothing else has to be registered.
"""

import re
from pathlib import Path


def available_losses() -> list[str]:
    """Names valid for `loss.name`, sorted: the modules here that define `build`. Reads the files, imports none."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return [file.stem for file in files if re.search(r"^def build\(", file.read_text(encoding="utf-8"), re.MULTILINE)]
