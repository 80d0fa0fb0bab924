"""conf/ is found beside the package and inside an installed one; where a run's folder can be made."""

import os
from pathlib import Path

import pytest

from cil.config import locations
from cil.config.locations import check_can_be_made
from cil.errors import ConfigError


def test_conf_of_the_wheel_comes_first(tmp_path, monkeypatch):
    monkeypatch.setattr(locations, "__file__", str(tmp_path / "cil" / "config" / "locations.py"))
    with pytest.raises(FileNotFoundError):
        locations.config_dir()
    for folder in (tmp_path / "conf", tmp_path / "cil" / "conf"):
        folder.mkdir(parents=True)
        (folder / "config.yaml").touch()
        assert locations.config_dir() == folder


def test_a_folder_can_be_made_below_any_that_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in (".", "new", "new/deeper", "new/../other", str(tmp_path / "new")):
        check_can_be_made(Path(place), "choose another")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["file", "file/new", "new/../file/x"])
def test_below_a_file_none_can_be_made(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError) as refused:
        check_can_be_made(Path(place), "choose another")
    assert str(refused.value) == f"{place}: cannot be made, {tmp_path / 'file'} is no folder; choose another"


def test_nor_where_nothing_may_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path or mode == os.R_OK)
    with pytest.raises(ConfigError, match="cannot be written to; choose another"):
        check_can_be_made(tmp_path / "new", "choose another")
    check_can_be_made(tmp_path, "choose another")  # a run that is there may only be read
