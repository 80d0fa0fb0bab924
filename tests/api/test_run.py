import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import cil
from cil.errors import ConfigError, DataError
from tests.finished import Finished


def test_importing_cil_and_loading_a_run_need_no_torch(finished: Finished):
    program = (
        "import sys, cil; assert 'torch' not in sys.modules and 'pandas' not in sys.modules;"
        f"run = cil.load({str(finished.path)!r}); run.config, run.settings, run.classes, run.metrics, run.matrix();"
        "run.confusion().frame; assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_settings_status_and_result(finished: Finished):
    run = cil.load(finished.path)

    assert run.state == "finished" and run.status["incremental_avg_top1"] == run.result["incremental_avg_top1"]
    assert run.config.method.name == run.settings["method.name"] == "icarl"
    assert run.config.split.sizes == run.settings["split.sizes"] == [2, 3, 2]
    assert "icarl" in repr(run) and "finished" in repr(run)


def test_classes_come_in_the_order_they_were_learned(finished: Finished):
    run = cil.load(finished.path)

    assert [one.position for one in run.classes] == list(range(7))
    assert [one.id for one in run.classes] == run.result["class_order"]
    assert [one.task for one in run.classes] == [1, 1, 2, 2, 2, 3, 3]
    assert all(one.name == str(one.id) for one in run.classes)  # digits are called by their number


def test_metrics_have_one_row_an_epoch_and_tasks_one_row_a_task(finished: Finished):
    run = cil.load(finished.path)

    assert run.metrics["step"].tolist() == list(range(1, 11))
    assert run.metrics["task"].tolist() == [1] * 4 + [2] * 3 + [3] * 3
    assert run.metrics["loss/total"].notna().all()
    assert run.tasks["task/top1"].tolist() == run.result["curves"]["top1"]


@pytest.mark.parametrize("kind", ["top1", "nme_top1"])
def test_the_accuracy_matrix_is_the_one_of_result_json(finished: Finished, kind: str):
    run = cil.load(finished.path)

    table = run.matrix(kind)

    assert table.loc[3, 1] == run.result["matrices"][kind][2][0]
    assert math.isnan(table.loc[1, 2])
    assert table.shape == (3, 3)


def test_confusion_counts_agree_with_the_accuracies(finished: Finished):
    run = cil.load(finished.path)

    for task in (1, 2, 3):
        for head, kind in (("classifier", "top1"), ("nme", "nme_top1")):
            classes, tasks = run.confusion(task, head=head), run.confusion(task, of="tasks", head=head)
            known = [2, 5, 7][task - 1]
            assert classes.counts.shape == (known, known) and classes.counts.sum() == 12 * known
            correct = 100 * np.trace(classes.counts) / classes.counts.sum()
            assert correct == pytest.approx(run.result["curves"][kind][task - 1])
            assert tasks.counts.sum() == classes.counts.sum()
            # Images of task 1 that were taken for one of its classes are on the diagonal of the tasks.
            assert tasks.counts[0, 0] == classes.counts[:2, :2].sum()


def test_confusion_has_names_and_a_picture(finished: Finished, tmp_path):
    confusion = cil.load(finished.path).confusion()

    assert list(confusion.frame.index) == [one.name for one in cil.load(finished.path).classes]
    assert confusion.shares.sum(axis=1) == pytest.approx(100)
    confusion.plot().savefig(tmp_path / "confusion.png")
    replace(confusion, names=["$_{$", *confusion.names[1:]]).plot().savefig(tmp_path / "odd.png")  # no formula
    assert Image.open(tmp_path / "confusion.png").size[0] > 300


def test_a_model_says_what_the_run_counted(finished: Finished):
    """Its hits on the test images are those of result.json, after every task."""
    from cil.engine.build import build_data

    run = cil.load(finished.path)
    data = build_data(run.config)
    for task, known in ((1, 2), (2, 5), (None, 7)):
        indices, targets = data.indices("test", 0, known)
        images = torch.from_numpy(data.raw.test.pixels[indices])
        output = run.model(task)(images)
        hits = (output.logits.argmax(dim=1).numpy() == targets).mean()
        assert 100 * hits == pytest.approx(run.result["curves"]["top1"][(task or 3) - 1])
        assert len(output.features) == len(images)


def test_a_model_takes_bytes_and_shares_alike_and_is_a_module(finished: Finished):
    model = cil.load(finished.path).model()
    size = cil.load(finished.path).config.dataset.image_size
    pixels = torch.randint(0, 256, (3, 3, size, size), dtype=torch.uint8)

    torch.testing.assert_close(model(pixels).logits, model(pixels.float() / 255).logits)
    assert not model.training and not model(pixels).logits.requires_grad
    assert sum(p.numel() for p in model.parameters()) > 0
    with pytest.raises(ValueError, match="must be"):
        model(pixels[0])
    with pytest.raises(ValueError, match="uint8"):
        model(pixels.long())


def test_bytes_given_as_floating_point_numbers_are_refused(finished: Finished):
    run = cil.load(finished.path)
    model, size = run.model(), run.config.dataset.image_size
    shares = torch.rand(2, 3, size, size)
    for take in (model, model.scores):
        take(shares + 0.1 * torch.randn(shares.shape))  # noise is none of it
        for wrong in (shares * 255, shares * 6 - 3, shares * float("nan")):
            with pytest.raises(ValueError, match=r"^images: floating-point values from .* valid: \[0, 1\]") as error:
                take(wrong)
            assert "\n" not in str(error.value)


def test_predict_ranks_classes_by_the_head_the_method_is_judged_by(finished: Finished):
    from cil.engine.build import build_data

    run = cil.load(finished.path)
    data = build_data(run.config)
    indices, targets = data.indices("test", 0, 7)
    images = data.raw.test.pixels[indices].transpose(0, 2, 3, 1)

    by_means, by_classifier = run.predict(images, top=2), run.predict(images, head="classifier", top=7)

    best = by_means[by_means["rank"] == 1]["position"].to_numpy()
    assert 100 * (best == targets).mean() == pytest.approx(run.result["curves"]["nme_top1"][-1])
    assert by_means["score"].max() <= 0  # minus a distance
    assert by_classifier.groupby("image")["score"].sum().to_numpy() == pytest.approx(1, abs=1e-5)
    assert by_classifier.iloc[0]["name"] == run.classes[by_classifier.iloc[0]["position"]].name


def test_one_tensor_is_one_image(finished: Finished):
    run = cil.load(finished.path)
    size = run.config.dataset.image_size
    image = torch.rand(3, size, size)
    assert run.predict(image).equals(run.predict(image[None]))


def test_predict_reads_files_and_resizes_as_the_test_images_were(finished: Finished, tmp_path):
    run = cil.load(finished.path)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8))
    picture.save(tmp_path / "wide.png")

    from_file, from_memory = run.predict(tmp_path / "wide.png", top=1), run.predict([picture], top=1)

    assert from_file["image"].tolist() == [str(tmp_path / "wide.png")]
    assert from_file["score"].tolist() == from_memory["score"].tolist()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: run.model(4), "task: 4"),
        (lambda run: run.model(0), "task: 0"),
        (lambda run: run.matrix("top2"), "kind: top2"),
        (lambda run: run.matrix(subset="val"), "subset: val"),
        (lambda run: run.confusion(of="heads"), "of: 'heads'"),
        (lambda run: run.confusion(head="boosted"), "head: 'boosted'.*classifier, nme"),
        (lambda run: run.predict(np.zeros((4, 4, 3), np.uint8), head="boosted"), "head: 'boosted'"),
        (lambda run: run.predict(np.zeros((4, 4, 3), np.uint8), top=0), "top: 0"),
        (lambda run: run.predict(np.zeros((4, 4, 3), np.uint8), device="foo"), "device: foo cannot be used here"),
    ],
)
def test_wrong_arguments_name_what_is_valid(finished: Finished, call, message: str):
    with pytest.raises(ConfigError, match=message):
        call(cil.load(finished.path))


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((3, 8, 8), np.float32),
        "nowhere.png",
        3,
        [None],
        torch.zeros(2, 3, 40, 40),
        torch.zeros(8, 8),
        torch.full((3, 8, 8), 9.0),
    ],
)
def test_what_is_no_image_is_refused(finished: Finished, images):
    with pytest.raises(DataError, match=r"no such file|valid|expected|outside"):
        cil.load(finished.path).predict(images)


def test_a_task_that_was_not_kept_is_said(finished: Finished, tmp_path):
    folder = finished.copy(tmp_path)
    next((folder / "checkpoints").glob("task-01-*")).unlink()

    with pytest.raises(ConfigError, match="after task 1; kept: 2, 3"):
        cil.load(folder).model(1)


def test_an_unfinished_run_can_be_looked_at(finished: Finished, tmp_path):
    folder = finished.copy(tmp_path)
    (folder / "result.json").unlink()
    (folder / "status.json").write_text('{"state": "running"}')
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "epoch", "ta')  # a line that is being written

    run = cil.load(folder)

    assert run.state == "running" and len(run.metrics) == 10
    with pytest.raises(DataError, match=r"is running and has no result\.json"):
        _ = run.result


def test_a_damaged_line_of_the_metrics_is_named(finished: Finished, tmp_path):
    folder = finished.copy(tmp_path)
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join([*lines[:2], "\n", "{\n", *lines[2:]]))
    with pytest.raises(DataError, match=r"metrics\.jsonl: line 4 cannot be read"):
        _ = cil.load(folder).metrics


def test_a_run_without_counts_says_how_to_get_them(finished: Finished, tmp_path):
    folder = finished.copy(tmp_path)
    (folder / "confusion.npz").unlink()

    with pytest.raises(DataError, match=r"cil\.evaluate"):
        cil.load(folder).confusion()


@pytest.mark.parametrize(("name", "message"), [("nowhere", "no such folder"), (".", "holds no config.yaml.*small")])
def test_a_folder_without_a_run_is_refused(tmp_path, name: str, message: str):
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "config.yaml").write_text("seed: 1\n")

    with pytest.raises(ConfigError, match=message):
        cil.load(tmp_path / name)
