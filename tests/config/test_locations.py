"""conf/ is found beside the package and inside an installed one."""

import pytest

from cil.config import locations


def test_conf_of_the_wheel_comes_first(tmp_path, monkeypatch):
    monkeypatch.setattr(locations, "__file__", str(tmp_path / "cil" / "config" / "locations.py"))
    with pytest.raises(FileNotFoundError):
        locations.config_dir()
    for folder in (tmp_path / "conf", tmp_path / "cil" / "conf"):
        folder.mkdir(parents=True)
        (folder / "config.yaml").touch()
        assert locations.config_dir() == folder
