import json
import shutil

import numpy as np
import pytest
from PIL import Image

import cil
from cil.errors import ConfigError
from cil.evaluate import evaluation
from cil.evaluate.cli import main
from cil.evaluate.network import Bench
from tests.finished import Finished, train_finished


@pytest.fixture(scope="module")
def evaluated(finished: Finished, tmp_path_factory: pytest.TempPathFactory):
    folder = finished.copy(tmp_path_factory.mktemp("evaluated"))
    assert main([str(folder)]) == 0
    return folder


def test_the_matrix_of_the_kept_networks_equals_what_the_run_wrote(evaluated):
    record = json.loads((evaluated / "evaluation.json").read_text())

    assert record["kept_tasks"] == [1, 2, 3] and record["differences"] == []
    assert record["matrices"] == cil.load(evaluated).result["matrices"]


def test_every_part_is_there_with_its_pictures(evaluated):
    record = json.loads((evaluated / "evaluation.json").read_text())

    assert [one["task"] for one in record["drift"]] == [1, 2]
    assert all(0 <= one["cka"] <= 1 for one in record["drift"])
    assert record["probe"]["train_images"] == 7 * 30
    assert set(record["corruptions"]) == {"noise", "blur", "contrast"}
    assert len(record["corruptions"]["noise"]["nme_top1"]) == 5
    assert record["calibration"]["accuracy"] == pytest.approx(record["accuracy"]["top1"] / 100)
    names = {path.stem for path in (evaluated / "evaluation").glob("*.png")}
    assert names == {path.stem for path in (evaluated / "evaluation").glob("*.svg")}
    assert {"confusion_classes_nme", "confusion_tasks_classifier", "calibration", "embedding", "drift"} <= names
    assert Image.open(evaluated / "evaluation" / "embedding.png").size[0] > 400


def test_accuracy_of_each_class_agrees_with_the_confusion_counts(evaluated):
    record = json.loads((evaluated / "evaluation.json").read_text())
    counts = np.load(evaluated / "evaluation" / "arrays.npz")["confusion_nme"]

    assert [one["nme_top1"] for one in record["classes"]] == pytest.approx(100 * counts.diagonal() / counts.sum(axis=1))
    assert np.array_equal(counts, cil.load(evaluated).confusion(head="nme").counts)


def test_an_earlier_task_and_chosen_parts(evaluated, capsys):
    assert main([str(evaluated), "task=2", "parts=calibration"]) == 0
    record = json.loads((evaluated / "evaluation.json").read_text())

    assert record["task"] == 2 and len(record["classes"]) == 5
    assert "evaluation.json: is of the network after task 3, and will be replaced" in capsys.readouterr().err
    for key, value, words in (("git_commit", "0" * 40, "by another version of the code"), ("task", None, "damaged")):
        path = evaluated / "evaluation.json"
        path.write_text("{" if value is None else json.dumps(json.loads(path.read_text()) | {key: value}))
        assert main([str(evaluated), "task=2", "parts=calibration"]) == 0
        assert f"evaluation.json: is {words}, and will be replaced" in capsys.readouterr().err
    assert "calibration" in record and not {"matrices", "drift", "probe", "corruptions"} & record.keys()


def test_an_evaluation_that_ended_meanwhile_keeps_its_parts(finished: Finished, tmp_path, monkeypatch):
    folder = finished.copy(tmp_path)
    real, told = evaluation.evaluate, []

    def with_another_beside_it(*arguments):
        monkeypatch.setattr(evaluation, "evaluate", real)
        told.append(main([str(folder), "parts=matrix"]))
        return real(*arguments)

    monkeypatch.setattr(evaluation, "evaluate", with_another_beside_it)
    assert main([str(folder), "parts=calibration"]) == 0
    record = json.loads((folder / "evaluation.json").read_text())
    assert (told, record["parts"]) == ([0], ["matrix", "calibration"]) and "matrices" in record


def test_a_changed_network_is_noticed(finished: Finished, tmp_path, capsys):
    folder = finished.copy(tmp_path)
    result = json.loads((folder / "result.json").read_text())
    result["matrices"]["top1"][0][0] += 1
    (folder / "result.json").write_text(json.dumps(result))

    assert main([str(folder), "parts=matrix"]) == 0

    assert "differs from what the run wrote: top1 after task 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["task=4"], "task: 4 .*valid: 1 to 3"),
        (["parts=all"], "parts: 'all' is unknown; valid: matrix"),
        (["embedding=pca"], "embedding: pca"),
        (["probe_images=0"], "probe_images: 0"),
        (["seed=4"], "seed: the run was trained with 1993"),
        (["dataset.rot=x"], "dataset.rot: is unknown; did you mean dataset.root\\? valid: task, parts, "),
        (["device=gpu"], "device: 'gpu' is unknown; valid: auto, cpu"),
        (["--all"], "--all: is not KEY=VALUE"),
    ],
)
def test_a_wrong_argument_is_one_line_and_writes_nothing(finished: Finished, capsys, words: list[str], message: str):
    assert main([str(finished.path), *words]) == 2

    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert pytest.importorskip("re").search(message, error), error
    assert not (finished.path / "evaluation.json").exists()


def test_images_of_other_classes_are_refused(tmp_path, capsys):
    """The folder that dataset.root names holds something else today."""
    tree = tmp_path / "tree"
    for subset in ("train", "val"):
        for name in ("ant", "bee"):
            (tree / subset / name).mkdir(parents=True)
            for i in range(3):
                pixels = np.random.default_rng(i).integers(0, 255, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tree / subset / name / f"{i}.png")
    run = train_finished(
        tmp_path,
        method="finetune",
        dataset="image_folder",
        augment="none",
        **{"dataset.root": str(tree), "split.sizes": [1, 1], "dataset.image_size": 8, "backbone": "resnet8"},
    ).path
    shutil.move(str(tree / "train" / "bee"), str(tree / "train" / "cat"))
    shutil.move(str(tree / "val" / "bee"), str(tree / "val" / "cat"))

    assert main([str(run)]) == 1

    assert "holds other classes" in capsys.readouterr().err


def test_counting_hits_asks_for_no_outputs(finished: Finished, tmp_path, monkeypatch):
    monkeypatch.setattr(Bench, "outputs", lambda *_: pytest.fail("outputs of every test image were computed"))
    record = cil.load(finished.copy(tmp_path)).evaluate(parts=["matrix"])
    assert not record["differences"]


def test_other_parts_of_the_same_network_stay_and_those_of_another_go(finished: Finished, tmp_path):
    run = cil.load(finished.copy(tmp_path))
    folder = run.path / "evaluation"
    run.evaluate(parts=["calibration", "embedding"])
    both = run.evaluate(parts=["probe"])

    assert both["parts"] == ["calibration", "probe", "embedding"] and {"calibration", "probe"} <= both.keys()
    assert json.loads((run.path / "evaluation.json").read_text()) == both
    assert "embedding" in np.load(folder / "arrays.npz").files and (folder / "calibration.png").is_file()

    other = run.evaluate(task=1, parts=["probe"])
    assert other["parts"] == ["probe"] and "calibration" not in other
    assert not (folder / "calibration.png").exists() and "embedding" not in np.load(folder / "arrays.npz").files


def test_a_place_that_cannot_be_written_shows_before_the_work(finished: Finished, tmp_path, capsys, monkeypatch):
    folder = finished.copy(tmp_path)
    (folder / "evaluation").write_text("a file where a folder should be")
    monkeypatch.setattr("cil.evaluate.evaluation.evaluate", lambda *_: pytest.fail("worked first"))
    assert main([str(folder)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_wrong_name_in_python_lists_the_right_ones(finished: Finished):
    with pytest.raises(ConfigError, match="prats: is unknown; valid: task, parts"):
        cil.load(finished.path).evaluate(prats=["probe"])
