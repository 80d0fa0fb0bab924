"""TensorBoard events: one folder, a layout, figures, one summary of settings."""

import io
import random
import re

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator as SlowLoader
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import plugin_data_pb2

from cil.planning.plan import compose_jobs
from cil.records.pictures import accuracy_rows, task_pictures
from cil.records.recorder import Recorder
from cil.records.tensorboard import LAYOUT
from tests.engine.test_loop import train

PICTURES = ["figures/accuracy_matrix", "figures/confusion_matrix", "figures/similarities"]


@pytest.fixture(scope="module")
def records():
    observer = train().observer
    return [
        record
        for task in observer.tasks
        for record in [*(e for e in observer.epochs if e["task"] == task["task"]), task]
    ]


def events(folder):
    sizes = {"images": 0, "scalars": 0, "tensors": 0}
    return EventAccumulator(str(folder), size_guidance=sizes).Reload()


def write(folder, records, stored=None):
    recorder = Recorder(folder / "metrics.jsonl", folder / "tensorboard", stored)
    for record in records:
        recorder.add(record)
    return recorder


def everything(folder):
    found = events(folder / "tensorboard")
    scalars = {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
    images = {tag: [(e.step, e.encoded_image_string) for e in found.Images(tag)] for tag in found.Tags()["images"]}
    return scalars, images


def test_a_continued_run_has_the_same_curves_and_figures(tmp_path, records):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    write(tmp_path / "a", records).close()
    first = write(tmp_path / "b", records[:6])
    first.close()
    write(tmp_path / "b", records[5:], stored=first.records[:5]).close()
    assert everything(tmp_path / "a") == everything(tmp_path / "b")
    assert (tmp_path / "a" / "metrics.jsonl").read_text() == (tmp_path / "b" / "metrics.jsonl").read_text()
    emptied, full = sorted((tmp_path / "b" / "tensorboard").iterdir())  # the one before stays for an open viewer
    assert (emptied.stat().st_size, full.stat().st_size > 0) == (0, True)
    scalars, images = everything(tmp_path / "a")
    for values in (*scalars.values(), *images.values()):
        steps = [step for step, _ in values]
        assert steps == sorted(set(steps))
    assert sorted(images) == PICTURES
    assert all([step for step, _ in values] == [1, 2, 3] for values in images.values())


def steps_seen(viewer):
    """What TensorBoard's slow loader has: it keeps scalars as tensors."""
    return [(event.step, round(event.tensor_proto.float_val[0], 3)) for event in viewer.Reload().Tensors("lr")]


def test_an_open_viewer_goes_on_over_two_resumes_and_a_fresh_one_sees_no_step_twice(tmp_path):
    """The runs were killed after their last checkpoint: epochs are told again, with other figures here."""
    epochs = [{"kind": "epoch", "task": 1, "step": step, "lr": 0.1} for step in range(1, 8)]
    again = [epoch | {"lr": 0.5} for epoch in epochs]
    write(tmp_path, epochs[:5]).close()
    viewer = SlowLoader(str(tmp_path / "tensorboard"))
    assert steps_seen(viewer) == [(step, 0.1) for step in range(1, 6)]
    for kept in (3, 2):
        resumed = write(tmp_path, [], stored=epochs[:kept])
        assert steps_seen(viewer) == [(step, 0.1) for step in range(1, kept + 1)]
        for record in again[kept:6]:
            resumed.add(record)
        resumed.close()
        expected = [(step, 0.1 if step <= kept else 0.5) for step in range(1, 7)]
        assert steps_seen(viewer) == steps_seen(SlowLoader(str(tmp_path / "tensorboard"))) == expected
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2


def test_what_figures_are_drawn_from_is_not_in_the_lines(tmp_path, records):
    recorder = write(tmp_path, records)
    recorder.close()
    assert "figures" in recorder.records[-1]
    assert not any(key in (tmp_path / "metrics.jsonl").read_text() for key in ('"figures"', '"counts"'))


def test_pictures_are_readable_images(records):
    for index, record in enumerate(records):
        pictures = list(task_pictures(records, index))
        assert [picture.tag for picture in pictures] == (PICTURES if record["kind"] == "task" else [])
        for picture in pictures:
            image = Image.open(io.BytesIO(picture.png))
            assert image.size == (picture.width, picture.height)
            low, high = image.convert("L").getextrema()
            assert high - low > 200, "black on white, even in grey"
            assert len(picture.png) < 100_000


def test_figures_that_are_off_are_not_drawn(records):
    plain = [record | {"figures": {}} for record in records]
    assert [picture.tag for picture in task_pictures(plain, len(plain) - 1)] == PICTURES[:1]


def test_the_accuracy_matrix_is_that_of_the_records(records):
    rows = accuracy_rows(records)
    assert [len(row) for row in rows] == [1, 2, 3]
    assert rows[2] == [records[-1][f"task/top1_task_{i:02d}"] for i in range(3)]


def test_the_layout_matches_tags_that_are_written(tmp_path, records):
    write(tmp_path, records).close()
    found = events(tmp_path / "tensorboard")
    (event,) = found.Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
    tags = sorted(found.Tags()["scalars"])
    drawn = {
        chart.title: [tag for tag in tags if any(re.match(pattern, tag) for pattern in chart.multiline.tag)]
        for category in layout.category
        for chart in category.chart
        if not category.title.startswith("Contrastive distillation")
    }
    assert drawn["Gap against margin (cosine)"] == ["contrast/gap", "contrast/margin"]
    assert drawn["Violation rate (share of negatives)"] == ["contrast/violation_rate"]
    assert drawn["Test images of each task, by task (%)"] == [f"task/top1_task_0{i}" for i in range(3)]
    assert [c.title for c in layout.category] == list(LAYOUT)
    optional = {"Share of the norms", "Cosine between terms"}
    assert all(tags for title, tags in drawn.items() if title not in optional), drawn


def test_settings_and_last_figures_in_the_same_file(tmp_path, records):
    recorder = write(tmp_path, records)
    recorder.summarise(compose_jobs(["name=mine"])[0].effective)
    recorder.close()
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1
    found = events(tmp_path / "tensorboard")
    plugin = {
        tag: plugin_data_pb2.HParamsPluginData.FromString(content)
        for tag, content in found.PluginTagToContent("hparams").items()
    }
    values = plugin["_hparams_/session_start_info"].session_start_info.hparams
    assert values["name"].string_value == "mine"
    assert values["optimizer.lr"].number_value == 0.1
    assert values["loss.ant_beta"].number_value == 1
    assert "dataset.root" not in values
    assert "tracking.progress" not in values
    metrics = [info.name.tag for info in plugin["_hparams_/experiment"].experiment.metric_infos]
    assert "task/incremental_avg_top1" in metrics
    assert set(metrics) <= set(found.Tags()["scalars"])


def test_a_run_of_full_length_stays_small(tmp_path):
    """Ten tasks of 170 epochs with every statistic there is: under 6 MB."""
    statistics = [f"{group}/statistic_number_{i:02d}" for group in ("contrast", "distill") for i in range(21)]
    tags = [*statistics, *(f"loss/term_number_{i}" for i in range(8)), *(f"other/figure_number_{i}" for i in range(8))]
    stored = [
        {"kind": "epoch", "task": 1 + step // 170, "epoch": 1 + step % 170, "step": step + 1}
        | {tag: random.random() for tag in tags}
        for step in range(1700)
    ]
    Recorder(tmp_path / "metrics.jsonl", tmp_path / "tensorboard", stored).close()
    (file,) = (tmp_path / "tensorboard").iterdir()
    assert 1e6 < file.stat().st_size < 4e6


def test_a_viewer_that_is_open_over_a_resume_goes_on_without_doubled_steps(tmp_path, records):
    folder = tmp_path / "tensorboard"
    write(tmp_path, records[:6])
    viewer = events(folder)
    before = [event.step for event in viewer.Scalars("loss/total")]
    # Continued from a checkpoint that was saved two records earlier: the steps after it are trained again.
    write(tmp_path, records[4:], stored=records[:4])
    again = [event.step for event in viewer.Reload().Scalars("loss/total")]
    steps = [record["step"] for record in records if record["kind"] == "epoch"]
    assert before == steps[: len(before)]
    assert again == steps
    assert [event.step for event in events(folder).Scalars("loss/total")] == steps
    assert [event.step for event in events(folder).Scalars("task/top1")] == [1, 2, 3]


def test_only_the_file_before_the_present_one_is_kept(tmp_path, records):
    for _ in range(4):
        write(tmp_path, [], stored=records)
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2
