"""What is remembered of the files that Hydra composes from."""

import pytest
from hydra.types import RunMode
from omegaconf import OmegaConf

from cil.errors import ConfigError
from cil.planning.loading import compose_with, make_loader
from cil.planning.messages import one_line
from cil.planning.plan import plan


@pytest.fixture
def reads(monkeypatch):
    """(where, file) of all that is read, in order."""
    found = []
    # As Hydra's plugin system has imported the classes, which is not where they can be imported from.
    for kind in {type(source) for source in make_loader(None).repository.get_sources()}:
        load = kind.load_config

        def counted(self, config_path, load=load):
            found.append((self.path, config_path))
            return load(self, config_path)

        monkeypatch.setattr(kind, "load_config", counted)
    return found


def test_a_sweep_reads_each_file_once(reads):
    assert len(plan(["-m", "loss=infonce", "seed=1,2,3"]).jobs) == 3
    files = [one for one in reads if one[0]]  # what stands in no folder is Hydra's store in memory
    assert len(files) > 5
    assert len(files) == len(set(files))


def settings(loader, *overrides):
    composed = compose_with(loader, list(overrides), RunMode.RUN)
    return composed, OmegaConf.to_container(OmegaConf.masked_copy(composed, [k for k in composed if k != "hydra"]))


def test_a_composition_leaves_the_next_one_alone():
    loader = make_loader(None)
    first, _ = settings(loader, "seed=5", "loss=ant")
    first.loss.temperature = 9
    first.optimizer.init_milestones.append(1)
    assert settings(loader, "loss=ant")[1] == settings(make_loader(None), "loss=ant")[1]


def test_folders_of_one_composition_are_not_searched_in_the_next(tmp_path):
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "mine.yaml").write_text("defaults: [ant]\ntemperature: 0.7\n")
    loader = make_loader(None)
    theirs, _ = settings(loader, f"hydra.searchpath=[file://{tmp_path}]", "loss=mine")
    assert theirs.loss.temperature == 0.7
    assert "mine" not in loader.get_group_options("loss")
    with pytest.raises(ConfigError, match="mine"), one_line():
        settings(loader, "loss=mine")
