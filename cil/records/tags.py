"""Tags and notes: what a person says of a run. They change nothing of it, so they may change at any time."""

import json
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from cil.config.schema import RunConfig
from cil.config.typed import to_yaml
from cil.files import write_atomically
from cil.records.folder import finished_result, plain, read_status
from cil.records.lock import locked


def tags_and_notes(config: RunConfig) -> dict[str, str]:
    """What there is of them, as texts: `tags`, joined by commas, and `notes`."""
    texts = {"tags": ", ".join(config.tags), "notes": config.notes or ""}
    return {name: text for name, text in texts.items() if text}


def retag(folder: Path, config: RunConfig) -> bool:
    """Give the finished run in `folder` the tags and notes of `config`; False if it has them already.

    Raises DataError for a damaged result.json, ConfigError where another process works on the folder, OSError.
    """
    wanted: dict[str, Any] = {"tags": config.tags, "notes": config.notes}
    path = folder / "config.yaml"
    stored: Any = OmegaConf.to_container(OmegaConf.load(path))
    if {"tags": stored.get("tags", []), "notes": stored.get("notes")} == wanted:
        return False
    with locked(folder):
        result, status = finished_result(folder), read_status(folder)
        # The report reads config.yaml: last, so that a stop in between is made good by the same command.
        write_atomically(folder / "result.json", json.dumps(plain(result | wanted), indent=1) + "\n")
        write_atomically(folder / "status.json", json.dumps(plain(status | wanted), indent=1) + "\n")
        write_atomically(path, to_yaml(stored | wanted))
    return True
