"""Class-list files: which class folders a run uses. Imports no torch and nothing that is slow.

A list names one class folder a line. Order, line ends (LF or CRLF), a byte-order mark, blank lines, lines that start
with # and white space around a name mean nothing: lists of the same names are the same list, with the same hash.
The folder class_lists/ holds lists that can be named instead of a file.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cil.errors import ConfigError

_NAMED = Path(__file__).with_name("class_lists")
_COUNT = re.compile(r"#\s*(train|validation) images:\s*(\d+)\s*$")


@dataclass(frozen=True)
class ClassList:
    """A class list as read. lines: line number (from 1) by class name, in the sorted order of the names."""

    path: Path
    lines: dict[str, int]
    images: dict[str, int] = field(default_factory=dict)
    """How many images the classes have together in a whole data set, by subset ("train", "validation"), where a comment
    of the list says so: `# train images: 128856`."""

    @property
    def names(self) -> list[str]:
        """Sorted class names."""
        return list(self.lines)

    @property
    def sha256(self) -> str:
        """Hash of the sorted names: the same for every file that names the same classes."""
        return hash_of_names(self.lines)

    def place(self, name: str) -> str:
        """'FILE, line N' of a class."""
        return f"{self.path}, line {self.lines[name]}"


def named_lists() -> list[str]:
    """The lists that come with the program, by name."""
    return sorted(path.stem for path in _NAMED.glob("*.txt"))


def class_list_path(text: str, folder: Path) -> Path:
    """The file of a list: one that is there (relative paths start at `folder`, ~ is expanded), else a list's name."""
    file = folder / Path(text).expanduser()
    return file if file.exists() or text not in named_lists() else _NAMED / f"{text}.txt"


def read_class_list(path: str) -> ClassList:
    """Read a class list; ~ is expanded.

    Raises ConfigError naming file and line if the file cannot be read, is not UTF-8, names no class, names one twice,
    or has a line that cannot be the name of a folder.
    """
    file = Path(os.path.abspath(os.path.expanduser(path)))
    if file.parent.name == _NAMED.name and file.stem in named_lists() and not file.exists():
        file = _NAMED / file.name  # of a run from another machine, where the program lies elsewhere
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        named = ", ".join(named_lists())
        raise ConfigError(
            f"dataset.class_list: {file}: {reason}; valid: a text file with one class a line, or one of {named}"
        ) from error
    lines: dict[str, int] = {}
    images: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        name = line.strip()
        if not name or name.startswith("#"):
            images |= {subset: int(count) for subset, count in _COUNT.findall(name)}
            continue
        where = f"dataset.class_list: {file}, line {number}"
        if "/" in name or name == "..":
            raise ConfigError(f"{where}: {name!r} is a path; valid: the name of a class folder, such as n01440764")
        if name in lines:
            raise ConfigError(f"{where}: {name} is named twice, first in line {lines[name]}; valid: every class once")
        lines[name] = number
    if not lines:
        raise ConfigError(f"dataset.class_list: {file} names no class; valid: one class-folder name a line")
    return ClassList(file, dict(sorted(lines.items())), images)


def names_hash(path: str) -> str:
    """SHA-256 (64 hex digits) of the sorted class names in a class list. Raises ConfigError like `read_class_list`."""
    return read_class_list(path).sha256


def hash_of_result(result: Mapping[str, Any]) -> str | None:
    """Hash of the sorted names of the class list that a result.json was made with; None without one.

    Made from the names in the result, where all are there: results of 0.1.0 hold a hash of the file's bytes, by which
    the same list in another order was another one.
    """
    stored = result.get("class_list")
    if not stored:
        return None
    names = {name for task in result["tasks"] for name in task.get("names", ())}
    return hash_of_names(sorted(names)) if len(names) == len(result["class_order"]) else stored.get("sha256")


def hash_of_names(names: Iterable[str]) -> str:
    """SHA-256 (64 hex digits) of class names in sorted order."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()
