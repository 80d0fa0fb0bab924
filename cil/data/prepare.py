"""`python -m cil.data prepare`: some classes of a full ImageNet as links, and packs of decoded images."""

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from cil.config.class_list import ClassList, class_list_path, named_lists, read_class_list
from cil.config.schema import DatasetConfig
from cil.data.base import RawDataset
from cil.data.packing import SIDE, pack
from cil.data.sources import load_whole
from cil.data.sources._folders import absolute
from cil.data.sources._imagenet import chosen_images, make_links, wanted_links
from cil.errors import ConfigError

USAGE = "usage: python -m cil.data prepare NAME [--imagenet ROOT --class-list NAME_OR_FILE] [--pack] [--out DIR]"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"prepare: {message}; {USAGE}")


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    made = _Parser(prog="python -m cil.data prepare", add_help=False, allow_abbrev=False)
    made.add_argument("name")
    made.add_argument("--imagenet", metavar="ROOT", help="a full ImageNet: train/CLASS/*, val/CLASS/*")
    made.add_argument("--class-list", metavar="NAME_OR_FILE", help=f"{', '.join(named_lists())}, or one name a line")
    made.add_argument("--pack", action="store_true", help="decode the images once, into a pack")
    made.add_argument("--side", type=int, help=f"shorter side of packed images in pixels (default: {SIDE})")
    made.add_argument("--out", metavar="DIR", help="what is made; links: dataset.root, a pack: dataset.root + '-pack'")
    made.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    return made


def prepare(options: argparse.Namespace, cfg: DatasetConfig) -> int:
    """Make what the options ask for. cfg: the data set, not checked. Raises ConfigError and DataError."""
    if options.imagenet is None and not options.pack:
        raise ConfigError(f"prepare: nothing to do; give --imagenet ROOT, or --pack; {USAGE}")
    if options.side is not None and not options.pack:
        raise ConfigError("--side: goes with --pack; links leave the images as they are")
    side = SIDE if options.side is None else options.side
    if side < 1:
        raise ConfigError(f"--side: {side}; valid: 1 or more")
    if options.imagenet is None:
        if options.class_list is not None:
            raise ConfigError("--class-list: goes with --imagenet; of other data use dataset.class_list=FILE")
        return _pack(load_whole(cfg), _out(options, f"{absolute(cfg.root or cfg.name)}-pack"), side, cfg)
    if options.class_list is None:
        raise ConfigError(
            f"--class-list: not given; valid: {', '.join(named_lists())}, or a file with one class a line"
        )
    try:
        chosen = read_class_list(str(class_list_path(options.class_list, Path.cwd())))
    except ConfigError as error:
        raise ConfigError(str(error).replace("dataset.class_list", "--class-list", 1)) from None
    root = absolute(options.imagenet)
    raw = chosen_images(root, chosen, cfg.name)
    _tell(raw, chosen)
    if options.pack:
        return _pack(raw, _out(options, f"{absolute(cfg.root or cfg.name)}-pack"), side, cfg)
    out = _out(options, str(absolute(cfg.root or cfg.name)))
    links = wanted_links(raw)
    made = make_links(out, links, {"imagenet": str(root), "list": chosen.path.name, "sha256": chosen.sha256})
    print(f"{out}: {len(links)} links, {made} of them new; train with {_words(cfg, out, len(raw.classes))}")
    return 0


def _words(cfg: DatasetConfig, out: Path, classes: int) -> str:
    """What a command says to train on what was made."""
    count = "" if cfg.classes in (None, classes) else f" dataset.classes={classes}"
    return f"dataset={cfg.name} dataset.root={out}{count}"


def _out(options: argparse.Namespace, otherwise: str) -> Path:
    return absolute(otherwise if options.out is None else options.out)


def _tell(raw: RawDataset, chosen: ClassList) -> None:
    """How many images there are, and whether the list says that there should be more."""
    for line in raw.passed_over:
        print(f"warning: {line}")
    for subset, images in (("train", raw.train), ("validation", raw.test)):
        expected = chosen.images.get(subset, len(images))
        print(f"{subset}: {len(images)} images of {len(raw.classes)} classes")
        if expected != len(images):
            print(f"warning: {subset}: {len(images)} images, but {chosen.path.name} was published with {expected}")


def _pack(raw: RawDataset, out: Path, side: int, cfg: DatasetConfig) -> int:
    with tqdm(unit="image", disable=not sys.stderr.isatty(), leave=False) as bar:

        def told(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        try:
            head = pack(raw, out, side, cfg.num_workers, told)
        except KeyboardInterrupt:
            print(f"stopped; the same command goes on with {out}", file=sys.stderr)
            return 130
    size = sum(part["bytes"] for part in head["parts"].values()) / 1e9
    counts = " + ".join(str(part["images"]) for part in head["parts"].values())
    print(f"{out}: {counts} images at {side} pixels, {size:.2f} GB; train with {_words(cfg, out, len(raw.classes))}")
    return 0
