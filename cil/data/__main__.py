"""Checks and prepares data on disk.

check NAME [KEY=VALUE ...], e.g. `check imagenet100 dataset.root=DIR`: lists the images of each class and split, counts
the files passed over, opens every image and names the broken ones (in a pack: those that differ from their checksum).
The result is kept beside the data, and runs make use of it.

prepare NAME --imagenet ROOT --class-list NAME_OR_FILE [--out DIR] [KEY=VALUE ...]: a data set of links to some classes
of a full ImageNet. With --pack (and --side PIXELS): a pack of decoded images instead, of a full ImageNet or, without
--imagenet, of any data set of image files. Both can be repeated, and go on where they were stopped.

Exit code 0: done, 1: a problem was found, 2: the command is wrong.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from cil.command import exit_code
from cil.config.class_list import class_list_path
from cil.config.schema import DatasetConfig
from cil.data import check
from cil.data.base import RawDataset
from cil.data.prepare import parser, prepare
from cil.data.sources import load_whole
from cil.errors import ConfigError
from cil.planning.plan import compose_jobs, composed_config

USAGE = "usage: python -m cil.data check|prepare NAME [KEY=VALUE ...]"


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code. Every error is one line."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments and arguments[0] in ("-h", "--help"):
        print(f"{USAGE}\n\n{__doc__.strip()}" if __doc__ else USAGE)
        return 0
    return exit_code(lambda: _run(arguments))


def _run(arguments: Sequence[str]) -> int:
    commands = {"check": check_command, "prepare": prepare_command}
    if not arguments or arguments[0] not in commands:
        given = f"no command {arguments[0]!r}" if arguments else "no command given"
        raise ConfigError(f"{given}; {USAGE}")
    return commands[arguments[0]](arguments[1:])


def dataset_config(arguments: Sequence[str]) -> DatasetConfig:
    """The data set that NAME and KEY=VALUE choose. Raises ConfigError."""
    if not arguments or "=" in arguments[0] or arguments[0].startswith("-"):
        raise ConfigError(f"no data set given; {USAGE}")
    name, *overrides = arguments
    odd = next((text for text in overrides if "=" not in text or text.startswith("-")), None)
    if odd is not None:
        raise ConfigError(f"{odd}: is not KEY=VALUE; {USAGE}")
    if any(text.partition("=")[0] == "dataset" for text in overrides):
        raise ConfigError(f"dataset: {name} is checked already; give one name; {USAGE}")
    # The data set's own split and order may not fit the classes that are there; neither is checked here.
    neutral = [text for text in ("split=joint", "class_order=natural") if not _given(text, overrides)]
    jobs = compose_jobs([f"dataset={name}", *neutral, "memory.size=0", *overrides])
    if len(jobs) != 1:
        raise ConfigError(f"one data set is checked at a time, and these are {len(jobs)}")
    return jobs[0].config.dataset


def _given(default: str, overrides: Sequence[str]) -> bool:
    return any(text.partition("=")[0] == default.partition("=")[0] for text in overrides)


def prepare_command(arguments: Sequence[str]) -> int:
    """`prepare NAME ...`: 0 if it is there now. Raises ConfigError and DataError."""
    if {"-h", "--help"} & set(arguments):
        parser().print_help()
        return 0
    options = parser().parse_intermixed_args(arguments)
    odd = next((text for text in options.overrides if "=" not in text), None)
    if odd is not None:
        raise ConfigError(f"prepare: {odd}: is not KEY=VALUE")
    # What is to be made need not be there yet, so nothing but names and types is checked.
    cfg = composed_config([f"dataset={options.name}", *options.overrides]).dataset
    cfg.class_list = None if cfg.class_list is None else str(class_list_path(cfg.class_list, Path.cwd()))
    return prepare(options, replace(cfg, pack_side=None))


def check_command(arguments: Sequence[str]) -> int:
    """`check NAME ...`: 0 if the data set is whole, else 1. Raises ConfigError and DataError."""
    cfg = dataset_config(arguments)
    raw = load_whole(cfg)
    found = check.listed(raw, cfg.root)
    print(_counts(raw, found), flush=True)
    broken = _opened(raw, cfg)
    beside = check.note_path(cfg)
    if beside is not None and raw.train.paths is not None:
        noted = check.write_note(replace(found, opened=True, broken=broken), [beside])
        print(f"noted in {noted}" if noted else f"not noted: {beside.parent} is read-only", flush=True)
    for line in raw.passed_over:
        print(f"warning: {line}")
    for line in broken:
        print(f"broken: {line}")
    images = sum(map(len, check.splits(raw).values()))
    print(f"{cfg.name}: {images} images, {len(broken) or 'none'} broken")
    return 1 if broken else 0


def _opened(raw: RawDataset, cfg: DatasetConfig) -> list[str]:
    """Open every image file, or compare every image of a pack with its checksum; a line for each broken one."""
    if raw.train.packed is not None:
        return _followed(check.broken_in_pack(raw), sum(map(len, check.splits(raw).values())), "image")
    paths = [str(path) for images in check.splits(raw).values() if images.paths is not None for path in images.paths]
    if not paths:
        return check.problems_in_memory(cfg)
    workers = min(cfg.num_workers, os.cpu_count() or 1)
    return _followed(check.broken_files(paths, workers), len(paths), "file")


def _followed(steps: Iterable[tuple[int, list[str]]], total: int, unit: str) -> list[str]:
    """The lines of all steps, behind a bar."""
    broken: list[str] = []
    with tqdm(total=total, unit=unit, disable=not sys.stderr.isatty(), leave=False) as bar:
        for count, lines in steps:
            bar.update(count)
            broken += lines
    return broken


def _counts(raw: RawDataset, found: check.Found) -> str:
    """A line for each class: images by split."""
    width = max(len("class"), *map(len, raw.classes))
    lines = ["  ".join(["class".ljust(width), *(name.rjust(8) for name in found.counts)])]
    for i, name in enumerate(raw.classes):
        lines.append("  ".join([name.ljust(width), *(f"{counts[i]:8d}" for counts in found.counts.values())]))
    total = (f"{sum(counts):8d}" for counts in found.counts.values())
    return "\n".join([*lines, "  ".join(["all".ljust(width), *total])])


if __name__ == "__main__":
    sys.exit(main())
