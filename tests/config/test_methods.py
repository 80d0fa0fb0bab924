"""Methods are found, and say what they use, without being imported."""

import subprocess
import sys

import pytest

from cil.config import methods, usage
from cil.config.methods import available_methods, predicts, uses
from cil.errors import ConfigError

EVERY = ["bic", "der", "finetune", "foster", "icarl", "joint", "lwf", "memo", "replay", "tagfex", "wa"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(methods, "FOLDER", tmp_path)
    usage.unused_by_method.cache_clear()
    yield tmp_path
    usage.unused_by_method.cache_clear()


def test_a_method_is_a_module_with_a_top_level_name(folder):
    (folder / "mine.py").write_text('import no_such_package\nUSES = ("memory",)\nMETHOD = object\n')
    (folder / "typed.py").write_text("USES: tuple[str, ...] = ()\nMETHOD: type = object\n")
    (folder / "base.py").write_text('"""Speaks of METHOD = ... only."""\ndef f():\n    METHOD = 1\n')
    assert available_methods() == ["mine", "typed"]
    assert (uses("mine"), uses("typed")) == (("memory",), ())
    assert usage.unused_by_method("mine") == tuple(n for n in usage.optional_for_methods() if n != "memory")


@pytest.mark.parametrize("line", ["", "USES = 'memory'", "USES = tuple(['memory'])", "USES = (1,)"])
def test_a_file_that_does_not_say_what_it_uses_is_named(folder, line):
    (folder / "mine.py").write_text(f"{line}\nMETHOD = object\n")
    with pytest.raises(ConfigError, match=r"method.name: .*mine.py does not say what mine uses; it needs a line"):
        uses("mine")


def test_a_group_that_does_not_exist_is_refused(folder):
    (folder / "mine.py").write_text('USES = ("memroy",)\nMETHOD = object\n')
    with pytest.raises(ConfigError, match="USES of mine names 'memroy'; valid: ant_margin, loss, margin_schedule, mem"):
        usage.unused_by_method("mine")


def test_a_method_may_name_the_head_it_is_judged_by(folder):
    (folder / "mine.py").write_text('USES = ()\nPREDICTS = "nme"\nMETHOD = object\n')
    (folder / "other.py").write_text("USES = ()\nMETHOD = object\n")
    assert [predicts(name) for name in ("mine", "other", "unknown")] == ["nme", "classifier", "classifier"]


def test_icarl_predicts_with_nearest_means():
    assert {name for name in EVERY if predicts(name) != "classifier"} == {"icarl"}


def test_an_unknown_method_gets_a_suggestion():
    with pytest.raises(ConfigError, match="no method 'repaly'; did you mean replay"):
        uses("repaly")


def test_every_method_says_what_it_uses_and_none_is_imported():
    code = (
        "import sys; from cil.config.usage import available_methods, unused_by_method; "
        "print(*('loss' in unused_by_method(m) for m in available_methods()), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert available_methods() == EVERY
    assert done.stdout.split() == [str(name != "tagfex") for name in EVERY] + ["False"]
