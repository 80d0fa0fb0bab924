"""What the commands on a finished run have in common: `COMMAND RUN ...`, one line for each error, exit codes."""

import sys
from collections.abc import Callable, Sequence

from cil.command import exit_code
from cil.records.output import lasting_output
from cil.trained.folder import StoredRun, open_run

Work = Callable[[StoredRun, list[str]], None]
"""Does what the command is for, with the run and the words behind it."""


def on_a_run(argv: Sequence[str] | None, text: str, work: Work) -> int:
    """The exit code: 0 done, 1 broken data or a file that cannot be read or written, 2 a wrong argument.

    argv: None for those of the process. text: of --help. When nobody reads what is printed any more (`| head`), the
    work goes on.
    """

    def run() -> int:
        with lasting_output(let_go=BrokenPipeError):
            return _on_a_run(list(sys.argv[1:] if argv is None else argv), text, work)

    return exit_code(run)


def _on_a_run(words: list[str], text: str, work: Work) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(text)
        return 0 if words else 2
    work(open_run(words[0]), words[1:])
    return 0
