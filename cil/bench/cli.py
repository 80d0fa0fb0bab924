"""The command line of the benchmarks."""

import sys
from collections.abc import Sequence

from cil.bench.options import HELP, measured_job, parse_options
from cil.command import exit_code


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 broken data or a file that cannot be written, 2 a wrong argument; an error is one line."""
    words = list(sys.argv[1:] if argv is None else argv)
    return exit_code(lambda: _measure(words))


def _measure(words: list[str]) -> int:
    if words and words[0] in ("-h", "--help"):
        print(HELP)
        return 0
    options = parse_options(words)
    job, made_up = measured_job(options.words)
    for warning in job.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    from cil.bench.measure import measure  # needs torch
    from cil.bench.show import shown

    record = measure(job, made_up, options, say=lambda text: print(text, file=sys.stderr, flush=True))
    print(shown(record))
    print(f"written: {options.out}")
    return 0
