import pytest

from cil.run.commands import command


@pytest.mark.parametrize(
    ("called", "shown"),
    [
        ("/home/me/.venv/bin/cil-train", "cil-report"),
        ("/home/me/cil/cil/train.py", "python -m cil.report"),
        ("", "python -m cil.report"),
    ],
)
def test_commands_are_called_as_the_present_one_was(monkeypatch, called, shown):
    monkeypatch.setattr("sys.argv", [called])
    assert command("report") == shown
