"""Class-incremental-learning experiments: `python -m cil` lists the commands, docs/api.md the functions below."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cil.api.confusion import Confusion as Confusion
    from cil.api.run import Run as Run
    from cil.api.run import load as load
    from cil.api.runs import runs as runs
    from cil.api.start import train as train

__version__ = "0.2.0.dev0"
_WHERE = {"Confusion": "cil.api.confusion", "Run": "cil.api.run", "load": "cil.api.run", "runs": "cil.api.runs"}


def __getattr__(name: str) -> Any:
    """Each is imported when it is first used: `import cil` takes no time."""
    if name == "train":
        return import_module("cil.train")  # it can be called
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'cil' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_WHERE, "train"])
