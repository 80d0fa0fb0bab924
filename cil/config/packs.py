"""Is a folder a pack of decoded images? Only its head is read; imports nothing that is slow."""

import json
from pathlib import Path
from typing import Any

from cil.errors import ConfigError

HEAD = "pack.json"
"""Written last: a folder that has it holds a whole pack."""
FORMAT = 1


def pack_head(root: Path) -> dict[str, Any] | None:
    """The head of the pack in `root`; None if there is none. Raises ConfigError for one that cannot be read."""
    path = root / HEAD
    if not path.is_file():
        return None
    try:
        head: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version, side = head["format"], head["side"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"dataset.root: {path}: is no head of a pack ({error or type(error).__name__})") from error
    if version == FORMAT and not {"classes", "class_list", "parts", "source"} <= head.keys():
        raise ConfigError(f"dataset.root: {path}: is no head of a pack, since a part of it is missing")
    if version != FORMAT or not isinstance(side, int):
        raise ConfigError(f"dataset.root: {path}: a pack of format {version}; this version reads format {FORMAT}")
    return head
