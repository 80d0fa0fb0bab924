"""The command line of the export."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cil.errors import ConfigError, DataError
from cil.trained.folder import open_run
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
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(HELP)
        return 0 if arguments else 2
    try:
        run = open_run(arguments[0])
        own, others = parse_settings(arguments[1:], OWN)
        if others:
            raise ConfigError(f"{next(iter(others))}: is unknown; valid: {', '.join(OWN)}")
        formats = own["formats"] if isinstance(own["formats"], list) else str(own["formats"]).split(",")
        from cil.export.export import export_run  # needs torch

        folder = None if own["folder"] is None else Path(str(own["folder"])).expanduser()
        export_run(run, folder, [str(one).strip() for one in formats], own["task"], say=print)
    except ConfigError as error:
        print(f"configuration error: {error}", file=sys.stderr)
        return 2
    except (DataError, OSError) as error:
        print(f"data error: {error}", file=sys.stderr)
        return 1
    return 0
