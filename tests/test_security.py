"""Nothing that comes from someone else is executed. SECURITY.md lists what is held here."""

import pickle

import pytest

from cil.config.schema import DatasetConfig
from cil.config.typed import load_effective, to_yaml
from cil.data.sources import load_dataset
from cil.data.sources.image_folder import load as load_folder
from cil.errors import ConfigError, DataError
from cil.planning.arguments import parse_arguments
from cil.planning.plan import compose_jobs
from cil.records.checkpoint import DamagedCheckpoint, _digest, read_checkpoint
from cil.report.runs import _config as report_config
from cil.sweep.hours import hours_by_kind
from tests.data.sources.trees import write_tree


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        import os

        return (os.mkdir, (str(self.marker),))


@pytest.fixture
def marker(tmp_path):
    """A path that must not be there at the end."""
    path = tmp_path / "executed"
    yield path
    assert not path.exists()


def test_the_payload_works(tmp_path):
    pickle.loads(pickle.dumps(Payload(tmp_path / "executed")))
    assert (tmp_path / "executed").exists()


def test_a_plain_pickle_is_no_checkpoint(tmp_path, marker):
    data = pickle.dumps(Payload(marker), protocol=2)
    path = tmp_path / f"final-{_digest(data)}.pt"
    path.write_bytes(data)
    with pytest.raises(DamagedCheckpoint, match="cannot be read"):
        read_checkpoint(path)


def stored_config() -> dict:
    return compose_jobs([])[0].effective


@pytest.mark.parametrize(
    "line",
    [
        "name: !!python/object/apply:os.mkdir [MARKER]",
        "seed: !!python/object/new:os.mkdir [MARKER]",
        "hydra: {run: {dir: x}}",
        "dataset: {_target_: os.mkdir, path: MARKER}",
        "method: {name: tagfex, _target_: os.mkdir}",
        "name: ${oc.env:HOME}",
        "anything: 1",
    ],
)
def test_a_stored_configuration_is_data(tmp_path, marker, line):
    path = tmp_path / "config.yaml"
    kept = {key: value for key, value in stored_config().items() if key != line.split(":")[0]}
    path.write_text(to_yaml(kept) + line.replace("MARKER", str(marker)) + "\n")
    with pytest.raises(ConfigError) as error:
        load_effective(path)
    assert "\n" not in str(error.value)


def test_the_stored_configuration_is_read_without_the_line(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(stored_config()))
    assert load_effective(path).seed == 1993


@pytest.mark.parametrize(("group", "key"), [("method", "name"), ("loss", "name"), ("dataset", "source")])
def test_names_of_modules_are_those_of_the_project(tmp_path, group, key):
    stored = stored_config()
    stored[group][key] = "os"
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(stored))
    with pytest.raises(ConfigError):
        compose_jobs([f"rerun={tmp_path}"])


def test_reports_and_estimates_read_yaml_safely(tmp_path, marker):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text(f"seed: !!python/object/apply:os.mkdir [{marker}]\n")
    (run / "result.json").write_text('{"tasks": [{"train_seconds": 1}], "seconds": 1, "device": {"name": "x"}}')
    with pytest.raises(ValueError, match=r"config\.yaml cannot be read"):
        report_config(run / "config.yaml")
    assert hours_by_kind([tmp_path]) == {}


def test_hydras_rerun_from_a_pickle_is_refused(tmp_path, marker):
    (tmp_path / "config.pickle").write_bytes(pickle.dumps(Payload(marker)))
    with pytest.raises(ConfigError, match="--experimental-rerun: refused"):
        parse_arguments(["--experimental-rerun", str(tmp_path / "config.pickle")])


def test_a_cifar_file_with_another_sum_is_not_unpickled(tmp_path, marker):
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for name in ("train", "test", "meta"):
        (folder / name).write_bytes(pickle.dumps(Payload(marker)))
    cfg = DatasetConfig(name="cifar100", source="cifar", root=str(tmp_path), classes=100, image_size=32)
    with pytest.raises(DataError, match="MD5"):
        load_dataset(cfg)


@pytest.mark.parametrize("name", ["../../secret", "/etc", "..", "."])
def test_a_class_list_leads_nowhere_else(tmp_path, name):
    root = write_tree(tmp_path / "data", {"train": 1, "val": 1}, ["a"])
    write_tree(tmp_path / "secret", {"x": 1}, ["y"])
    listed = tmp_path / "list.txt"
    listed.write_text(f"a\n{name}\n")
    cfg = DatasetConfig(source="image_folder", root=str(root), class_list=str(listed), image_size=8)
    with pytest.raises((ConfigError, DataError), match=r"list\.txt, line 2"):
        load_folder(cfg)
