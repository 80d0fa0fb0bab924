"""The command line of a benchmark: its own options, and the settings of the run that is measured. Imports no torch."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from cil.errors import ConfigError
from cil.planning.plan import Job, plan

PARTS = ("step", "augment", "loss", "evaluation", "herding", "checkpoint", "loading")
USAGE = "usage: python -m cil.bench [KEY=VALUE ...] [--tasks 1,2,5,10] [--only PART,...] [--steps N] [--rounds N]"
DEFAULT_TASKS = (1, 2, 5, 10)
HELP = f"""\
{USAGE}
                           [--out FILE.json]

Measures, on this device and with the settings of a run (as for python -m cil.train), how fast its parts are, how much
memory they take, and how many hours the whole run would be. Real images where dataset.root is given (and for digits),
otherwise made-up pixels of the data set's shape and numbers. Nothing is trained: the learning rate is 0.

  --tasks 1,2,5,10   in which tasks; those that the split does not have are left out
  --only PART,...    only these of: {" ".join(PARTS)}
  --steps N          training steps in a round (default: 10 on CUDA, 2 on a CPU)
  --rounds N         timed rounds of everything (default: 5 on CUDA, 3 on a CPU)
  --out FILE.json    where the figures go, each with its rounds (default: bench.json); checkpoints are written and
                     removed beside it"""


@dataclass(frozen=True)
class Options:
    """What a command line asks for. steps, rounds: None for the device's default."""

    words: list[str]
    """Settings of the run."""
    tasks: tuple[int, ...] = DEFAULT_TASKS
    only: tuple[str, ...] = PARTS
    steps: int | None = None
    rounds: int | None = None
    out: Path = Path("bench.json")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; {USAGE}")


def parse_options(argv: Sequence[str]) -> Options:
    """Raises ConfigError for what is not an option, a part or a setting."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--tasks", default=",".join(map(str, DEFAULT_TASKS)))
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--steps")
    parser.add_argument("--rounds")
    parser.add_argument("--out", type=Path, default=Path("bench.json"))
    found = parser.parse_intermixed_args(list(argv))
    for word in found.words:
        if "=" not in word:
            raise ConfigError(f"{word}: is not KEY=VALUE; {USAGE}")
    if not found.out.absolute().parent.is_dir():
        raise ConfigError(f"--out: {found.out.absolute().parent} is not a folder")
    return Options(
        found.words,
        tuple(sorted({_number("--tasks", text) for text in found.tasks.split(",")})),
        _parts(found.only),
        None if found.steps is None else _number("--steps", found.steps),
        None if found.rounds is None else _number("--rounds", found.rounds),
        found.out,
    )


def _number(option: str, text: str) -> int:
    if not text.strip().isdecimal() or int(text) < 1:
        raise ConfigError(f"{option}: {text!r} is not valid; expected 1 or greater")
    return int(text)


def _parts(text: str) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in PARTS:
            raise ConfigError(f"--only: {name!r} is unknown; valid: {', '.join(PARTS)}")
    return tuple(part for part in PARTS if part in names)


def measured_job(words: Sequence[str]) -> tuple[Job, bool]:
    """The run that is measured, and whether its images are made up. Raises ConfigError."""
    planned = plan(list(words), look_for_data=False)
    if len(planned.jobs) != 1 or planned.multirun or planned.resume or planned.rerun:
        raise ConfigError("cil.bench measures the settings of one run; a sweep, resume= and rerun= are not possible")
    if planned.jobs[0].config.augment.view_bank is not None:
        raise ConfigError("augment.view_bank: cil.bench measures steps on new views; valid: null (docs/view_bank.md)")
    dataset = planned.jobs[0].config.dataset
    given = any(word.partition("=")[0] == "dataset.root" for word in words)
    if given or dataset.source == "digits":
        return plan(list(words)).jobs[0], False
    return planned.jobs[0], True
