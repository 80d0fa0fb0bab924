"""How commands end: exit codes, one line for each error, whatever becomes of their output."""

import os
import subprocess
import sys

import pytest

from cil.command import exit_code
from cil.errors import ConfigError, DataError
from tests.commands import PROJECT


def failing(error: BaseException):
    def work() -> int:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ConfigError("seed: no"), 2, "configuration error: seed: no\n"),
        (DataError("a.png: no"), 1, "data error: a.png: no\n"),
        (OSError(28, "No space left on device", "a"), 1, "data error: [Errno 28] No space left on device: 'a'\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (BrokenPipeError(32, "Broken pipe"), 1, "data error: [Errno 32] Broken pipe\n"),  # of a worker, say
        (LookupError("own"), 5, "mine: own\n"),
    ],
)
def test_an_error_is_one_line_and_a_code(error, code, text, capsys):
    assert exit_code(failing(error), (LookupError, "mine", 5)) == code
    assert capsys.readouterr().err == text


def test_what_nobody_can_cause_keeps_its_traceback():
    assert exit_code(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        exit_code(lambda: 1 // 0)


@pytest.mark.parametrize(
    ("where", "code", "text"),
    [
        (">/dev/full", 1, "data error: [Errno 28] No space left on device\n"),
        (">&-", 4, ""),
        ("2>&-", 4, ""),
        (">&5", 4, ""),  # nobody reads, and nobody need know
    ],
)
@pytest.mark.parametrize("flush", [True, False])
def test_output_that_goes_nowhere_leaves_no_traceback(where, code, text, flush):
    script = (
        "import os, sys\n"
        "from cil.command import exit_code\n"
        f"sys.exit(exit_code(lambda: print('x' * 9, flush={flush}) or 4))\n"
    )
    if where == ">&5":
        code = 0 if flush else 4
        script = "import os\nreading, writing = os.pipe()\nos.close(reading)\nos.dup2(writing, 1)\n" + script
        where = ""
    command = ["sh", "-c", f'"$0" -c "$1" {where}', sys.executable, script]
    buffered = os.environ | {"PYTHONUNBUFFERED": "", "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(command, env=buffered, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, text)


@pytest.mark.parametrize("module", ["cil.data", "cil.bench.cli", "cil.report.cli", "cil.evaluate.cli", "cil.predict"])
def test_ctrl_c_is_one_line_in_every_command(module, monkeypatch, capsys, tmp_path):
    from importlib import import_module

    main = import_module(f"{module}.__main__" if module == "cil.data" else module)
    names = {"cil.data": "_run", "cil.bench.cli": "_measure", "cil.report.cli": "_report"}
    if module in names:
        monkeypatch.setattr(main, names[module], lambda *_: failing(KeyboardInterrupt())())
    else:
        monkeypatch.setattr("cil.trained.command.open_run", lambda *_: failing(KeyboardInterrupt())())
    assert main.main([str(tmp_path)]) == 130
    assert capsys.readouterr().err == "interrupted\n"
