"""docs/api.md does what it says: its code is run from top to bottom."""

import re
from pathlib import Path

import pytest

from cil.records.result import RESULT_SCHEMA_VERSION
from tests.commands import PROJECT
from tests.finished import Finished

PAGE = PROJECT / "docs" / "api.md"


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    place: dict = {}

    for block in blocks:
        exec(compile(block, "docs/api.md", "exec"), place)

    assert len(blocks) == 5
    assert place["record"]["differences"] == []
    assert (tmp_path / "confusion.png").is_file() and (tmp_path / "exported" / "model.pt2").is_file()
    assert len(place["table"]) == 1


def test_every_key_of_result_json_is_told(finished: Finished):
    import cil

    page = PAGE.read_text()
    untold = [key for key in cil.load(finished.path).result if f"`{key}`" not in page and not _headline(key)]

    assert untold == ["schema_version"] and RESULT_SCHEMA_VERSION == 1


def _headline(key: str) -> bool:
    return re.fullmatch(r"(\w+_)?(incremental_avg|last|last_task_mean|forgetting)_top[15]", key) is not None
