import json
from pathlib import Path

import pytest

import cil
import cil.train
from cil.errors import ConfigError, DataError
from tests.commands import train as command
from tests.finished import Finished

QUICK = {"method": "finetune", "trainer.max_tasks": 1, "trainer.init_epochs": 1, "dataset.max_train_per_class": 10}


def test_a_run_from_python_equals_one_from_the_command_line(tmp_path):
    from_python = cil.train("seed=3", folder=tmp_path / "python", **QUICK)
    words = [f"{key}={value}" for key, value in QUICK.items()]
    done = command(*words, "seed=3", "hydra.run.dir=shell", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    one, other = from_python.result, json.loads((tmp_path / "shell" / "result.json").read_text())
    for key in ("config_id", "matrices", "curves", "tasks"):
        assert _without_times(one[key]) == _without_times(other[key])
    assert (tmp_path / "python" / "config.yaml").read_text() == (tmp_path / "shell" / "config.yaml").read_text()


def _without_times(value):
    if isinstance(value, list):
        return [_without_times(one) for one in value]
    return {k: v for k, v in value.items() if k != "train_seconds"} if isinstance(value, dict) else value


def test_the_same_folder_again_trains_nothing_and_another_setting_is_refused(finished: Finished, tmp_path):
    folder = tmp_path / "run"
    first = cil.train(folder=folder, **QUICK)
    before = (folder / "result.json").stat().st_mtime_ns

    again = cil.train(folder=folder, **QUICK)

    assert again.result == first.result and (folder / "result.json").stat().st_mtime_ns == before
    with pytest.raises(ConfigError, match="seed: 1993 -> 4"):
        cil.train("seed=4", folder=folder, **QUICK)


@pytest.mark.parametrize("kind", ["folder of notes", "result of something else"])
def test_a_place_that_holds_no_run_is_refused_and_left_as_it_is(tmp_path, kind: str):
    place = tmp_path / "place"
    file = place / ("result.json" if kind.startswith("result") else "notes.txt")
    place.mkdir()
    file.write_text("mine")

    with pytest.raises(ConfigError, match="place: holds files of something else; choose an empty folder") as error:
        cil.train(folder=place, **QUICK)

    assert "\n" not in str(error.value)
    assert [path.read_text() for path in tmp_path.rglob("*") if path.is_file()] == ["mine"]


def test_a_place_that_cannot_be_made_is_told_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs").write_text("mine")
    with pytest.raises(ConfigError, match=r"outputs is no folder; choose another folder$"):
        cil.train(folder=tmp_path / "outputs" / "run", **QUICK)
    with pytest.raises(ConfigError, match=r"outputs is no folder; runs go to outputs/NAME in the present folder$"):
        cil.train(**QUICK)
    assert (tmp_path / "outputs").read_text() == "mine"


def test_a_run_that_was_edited_is_not_the_answer(finished: Finished, tmp_path):
    folder = finished.copy(tmp_path)
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("seed: 1993\n", "seed: 4\n"))
    reason = "config.yaml is not the one that result.json is of (seed: 4, not 1993)"
    for ask in (lambda: cil.load(folder).result, lambda: cil.load(folder).model(), lambda: cil.train(resume=folder)):
        with pytest.raises(DataError) as refused:
            ask()
        assert f"{folder}: {reason}; put the run's own file back" in str(refused.value)
    assert cil.runs(folder)["excluded"].item() == reason


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "run").mkdir()
    assert cil.train(folder=tmp_path / "run", **QUICK).state == "finished"


def test_without_a_folder_it_goes_below_outputs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    run = cil.train(name="mine", **QUICK)

    assert run.path.parts[:2] == ("outputs", "mine") and run.state == "finished"


def test_values_of_python_are_written_as_overrides(finished: Finished):
    assert cil.load(finished.path).config.checkpoint.keep_tasks is True
    assert cil.load(finished.path).config.optimizer.init_milestones in ([], None)


@pytest.mark.parametrize(
    ("overrides", "settings", "message"),
    [
        (["-m", "seed=1,2"], {}, "-m"),
        (["seed=1,2"], {}, "seed"),
        (["dry_run=true"], {}, "starts one run"),
        (["hydra.run.dir=x"], {}, "folder="),
        ([], {"trainer__epochs": 3}, "trainer.epochs"),
    ],
)
def test_what_is_not_one_run_is_refused(overrides: list[str], settings: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        cil.train(*overrides, **settings)


@pytest.mark.parametrize("key", ["resume", "rerun"])
def test_the_folder_of_a_run_is_given_by_name_too(finished: Finished, tmp_path, key: str):
    with pytest.raises(ConfigError, match=f"^{key}: /no/such run is not a folder"):
        cil.train(**{key: Path("/no/such run")})
    with pytest.raises(ConfigError, match=r"split\.base"):  # the folder is found, the setting is wrong
        cil.train(**{key: str(finished.path), "split__base": "two"})


def test_the_module_of_the_command_is_the_function():
    assert callable(cil.train) and cil.train.main is not None
    assert "train" in dir(cil)


def test_each_of_several_processes_would_be_a_run_of_its_own(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(ConfigError, match=r"with torchrun, use -m cil\.train"):
        cil.train("seed=3", **QUICK)
