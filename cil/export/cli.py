"""The command line of the export."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cil.errors import ConfigError
from cil.trained.command import on_a_run
from cil.trained.folder import StoredRun
from cil.trained.settings import parse_settings

OWN: dict[str, Any] = {"task": None, "formats": "safetensors,program", "folder": None}
HELP = """\
usage: python -m cil.export RUN [task=K] [formats=safetensors,program,onnx] [folder=DIR]

Writes the network after task K (default: the last) so that it can be used without this project, into RUN/export or
DIR, with the list of classes and a model card:

  safetensors   its weights by name
  program       a torch.export program: torch.export.load("model.pt2").module()(images)
  onnx          the same for ONNX (pip install 'cil[onnx]')

Each program (also for ONNX) is loaded again in a process without this project, and its logits are compared."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 broken files or an export that does not give the same, 2 a wrong argument."""
    return on_a_run(argv, HELP, _export)


def _export(run: StoredRun, words: list[str]) -> None:
    own, others = parse_settings(words, OWN)
    if others:
        raise ConfigError(f"{next(iter(others))}: is unknown; valid: {', '.join(OWN)}")
    formats = own["formats"] if isinstance(own["formats"], list) else str(own["formats"] or "").split(",")
    from cil.export.export import export_run  # needs torch

    folder = None if own["folder"] is None else Path(str(own["folder"])).expanduser()
    export_run(run, folder, [str(one).strip() for one in formats if one], own["task"], say=print)
