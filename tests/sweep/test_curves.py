"""The folder of named links that TensorBoard is pointed at."""

import json
import os
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams import plugin_data_pb2

from cil.config.typed import to_yaml
from cil.planning.plan import plan
from cil.records.recorder import Recorder
from cil.sweep.curves import curve_folders, name_curves
from tests.commands import changed
from tests.sweep.sweeps import TINY, hashes, sweep

SWEEP = Path("outputs/sweeps/run")
CURVES = SWEEP / "curves"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def placed(*arguments):
    return [(job, job.folder) for job in plan(["-m", *arguments]).jobs]


def write_run(job, folder):
    """A run's folder with events, as training leaves it."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(to_yaml(job.effective))
    recorder = Recorder(folder / "metrics.jsonl", folder / "tensorboard")
    recorder.add({"kind": "task", "task": 1, "step": 1, "task/incremental_avg_top1": 50.0})
    recorder.summarise(job.effective, alone=False)
    recorder.close()


def note(jobs):
    """The sweep.json of an earlier sweep."""
    rows = [{"id": job.run_id, "folder": str(folder), "overrides": job.overrides} for job, folder in jobs]
    (SWEEP / "sweep.json").write_text(json.dumps({"schema_version": 1, "sweeps": [{"jobs": rows}]}))


def links():
    return {path.name: os.readlink(path) for path in CURVES.iterdir() if path.is_symlink()}


def columns():
    """Columns and metrics of the HPARAMS tab."""
    (folder,) = CURVES.glob("_columns-*")
    (content,) = EventAccumulator(str(folder)).Reload().PluginTagToContent("hparams").values()
    found = plugin_data_pb2.HParamsPluginData.FromString(content).experiment
    assert all(info.differs for info in found.hparam_infos)
    return [info.name for info in found.hparam_infos], [info.name.tag for info in found.metric_infos]


def test_links_are_there_before_the_jobs_begin_and_lead_to_their_events():
    jobs = placed("loss=infonce,ant", "ant_margin=0.1,0.3", "seed=1")
    assert name_curves(jobs) == []
    assert links() == {
        name: f"../{job.run_id}/tensorboard"
        for name, (job, _) in zip(
            ("loss=infonce", "loss=ant,ant_margin=0.1", "loss=ant,ant_margin=0.3"), jobs, strict=True
        )
    }
    for job, folder in jobs:
        write_run(job, folder)
    viewer = EventMultiplexer().AddRunsFromDirectory(str(CURVES)).Reload()
    (columns,) = set(viewer.Runs()) - set(links())
    assert columns.startswith("_columns-")
    assert [event.value for event in viewer.Scalars("loss=infonce", "task/incremental_avg_top1")] == [50.0]
    assert curve_folders(jobs) == [CURVES]


def test_a_larger_grid_names_the_earlier_runs_anew():
    small = placed("loss=ant", "ant_margin=0.1,0.3", "seed=1")
    name_curves(small)
    assert set(links()) == {"ant_margin=0.1", "ant_margin=0.3"}
    for job, folder in small:
        write_run(job, folder)
    note(small)
    before = {folder: hashes(folder) for _, folder in small}
    large = placed("loss=infonce,ant", "ant_margin=0.5", "seed=1,2")
    assert name_curves(large) == []
    assert set(links()) == {
        "loss=infonce,seed=1",
        "loss=infonce,seed=2",
        *(f"loss=ant,ant_margin={margin},seed=1" for margin in (0.1, 0.3, 0.5)),
        "loss=ant,ant_margin=0.5,seed=2",
    }
    assert {folder: hashes(folder) for _, folder in small} == before


def test_the_columns_are_what_differs_and_the_loss():
    name_curves(placed("loss=ant", "seed=1,2"))
    keys, metrics = columns()
    assert keys == ["seed", "loss.name"] or keys == ["loss.name", "seed"]
    assert metrics[0] == "task/incremental_avg_top1" and "contrast/gap" in metrics
    name_curves(placed("loss=infonce,ant", "ant_margin=0.1,0.3", "seed=1,2"))
    assert set(columns()[0]) == {"loss.name", "ant_margin", "seed"}


def test_an_open_viewer_sees_the_columns_of_the_larger_grid():
    """A tag that it has read it reads no more, so other columns are another run."""
    name_curves(placed("loss=ant", "seed=1,2"))
    viewer = EventMultiplexer().AddRunsFromDirectory(str(CURVES)).Reload()
    before = set(viewer.Runs())
    name_curves(placed("loss=ant", "ant_margin=0.1,0.3", "seed=1,2"))
    after = set(viewer.AddRunsFromDirectory(str(CURVES)).Reload().Runs())
    assert not {run for run in before & after if run.startswith("_columns-")}
    assert len({run for run in after if run.startswith("_columns-")}) == 1


def test_methods_without_a_contrastive_loss_have_no_figures_of_it():
    name_curves(placed("method=finetune,replay"))
    keys, metrics = columns()
    assert "method.name" in keys and not any(tag.startswith("contrast/") for tag in metrics)


def test_nothing_is_written_twice():
    jobs = placed("loss=ant", "seed=1,2")
    name_curves(jobs)
    before = hashes(CURVES)
    name_curves(jobs)
    assert hashes(CURVES) == before


def test_a_run_of_a_sweep_names_no_columns_of_its_own():
    jobs = placed("loss=ant", "seed=1,2")
    for job, folder in jobs:
        write_run(job, folder)
    tags = EventAccumulator(str(jobs[0][1] / "tensorboard")).Reload().PluginTagToContent("hparams")
    assert set(tags) == {"_hparams_/session_start_info", "_hparams_/session_end_info"}


def test_infonce_has_no_margin_beside_its_figures():
    ((job, folder),) = placed("loss=infonce", "seed=1")
    write_run(job, folder)
    tags = EventAccumulator(str(folder / "tensorboard")).Reload().PluginTagToContent("hparams")
    start = plugin_data_pb2.HParamsPluginData.FromString(tags["_hparams_/session_start_info"]).session_start_info
    assert start.hparams["loss.name"].string_value == "infonce" and "ant_margin" not in start.hparams


def test_at_the_end_links_that_lead_nowhere_are_gone():
    (first, _) = jobs = placed("loss=ant", "seed=1,2")
    name_curves(jobs)
    write_run(*first)
    name_curves(jobs, ended=True)
    assert set(links()) == {"seed=1"}


def test_where_no_job_wrote_events_there_is_no_folder():
    jobs = placed("loss=ant", "seed=1,2")
    name_curves(jobs)
    name_curves(jobs, ended=True)
    assert not CURVES.exists()
    name_curves(placed("loss=ant", "seed=1,2", "tracking.tensorboard=false"))
    assert not SWEEP.exists() or not CURVES.exists()


def test_the_links_of_another_sweep_at_work_stay():
    name_curves(placed("loss=ant", "seed=1,2"))
    name_curves(placed("loss=ant", "ant_margin=0.2,0.3"))
    assert {"seed=1", "seed=2"} <= set(links())


def test_a_file_system_without_links_is_one_line(monkeypatch):
    def refuse(*arguments, **named):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    jobs = placed("loss=ant", "seed=1,2")
    (line,) = name_curves(jobs)
    assert curve_folders(jobs) == [SWEEP] and set(columns()[0]) == {"loss.name", "seed"}
    assert line == f"{CURVES}: TensorBoard gets no named links (Operation not permitted); the runs are named by id"


def test_a_real_sweep_leaves_them_and_says_how_to_look(capsys):
    """What its runs and the folder hold is what the tests above write by hand."""
    arguments = changed(TINY, "tracking.tensorboard=true", "seed=1,2", "trainer.max_tasks=1")
    assert sweep(*arguments) == 0
    folder = Path("outputs/sweeps/tiny")
    assert {path.name for path in (folder / "curves").iterdir() if path.is_symlink()} == {"seed=1", "seed=2"}
    out = capsys.readouterr().out
    assert out.splitlines()[-2:] == [
        f"report: python -m cil.report {folder}",
        f"curves: tensorboard --logdir {folder / 'curves'}",
    ]
    viewer = EventMultiplexer().AddRunsFromDirectory(str(folder / "curves")).Reload()
    told = {run: set(tags) for run, tags in viewer.PluginRunToTagToContent("hparams").items() if tags}
    (columns,) = told.keys() - {"seed=1", "seed=2"}
    assert told[columns] == {"_hparams_/experiment"}
    assert told["seed=1"] == {"_hparams_/session_start_info", "_hparams_/session_end_info"}


def test_a_sweep_without_links_goes_on_and_says_so_once(monkeypatch, capsys):
    monkeypatch.setattr(Path, "symlink_to", lambda *arguments, **named: (_ for _ in ()).throw(OSError(1, "not here")))
    assert sweep(*changed(TINY, "tracking.tensorboard=true", "seed=1", "trainer.max_tasks=1")) == 0
    out = capsys.readouterr().out
    assert out.count("TensorBoard gets no named links (not here)") == 1
    assert out.splitlines()[-1] == "curves: tensorboard --logdir outputs/sweeps/tiny"
    assert json.loads(Path("outputs/sweeps/tiny/sweep.json").read_text())["warnings"] == []
