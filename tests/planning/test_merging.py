"""Jobs that train alike: one run serves several probe margins of a loss without a margin."""

import json
from pathlib import Path

import pytest

from cil.config import parts
from cil.config.identity import training_id
from cil.config.typed import to_yaml
from cil.planning.plan import plan
from tests.planning.helpers import one


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def infonce(*arguments):
    """The InfoNCE jobs of a sweep."""
    return [job for job in plan(["-m", *arguments]).jobs if job.config.loss.name == "infonce"]


def store(*arguments, finished=True, folder=None):
    """A run as an earlier sweep may have left it; its identity."""
    (job,) = plan(["-m", *arguments]).jobs
    folder = folder or job.folder
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(to_yaml(job.effective))
    (folder / "status.json").write_text("{}")
    if finished:
        (folder / "result.json").write_text(json.dumps({"config_id": job.run_id}))
    return job.run_id


def test_the_natural_question_trains_the_baseline_once_a_seed():
    planned = plan(["-m", "loss=infonce,ant", "ant_margin=0.1,0.3,0.5", "seed=1"])
    settings = [(job.config.loss.name, job.config.ant_margin) for job in planned.jobs]
    assert settings == [("infonce", 0.1), ("ant", 0.1), ("ant", 0.3), ("ant", 0.5)]
    assert planned.jobs[0].copies == [["loss=infonce", f"ant_margin={margin}", "seed=1"] for margin in ("0.3", "0.5")]
    assert planned.notes == [
        "loss=infonce trains without a margin: ant_margin=0.1, 0.3, 0.5 are one run, its statistics measured at 0.1"
    ]


def test_the_default_margin_comes_first_then_the_first_one_given():
    assert infonce("loss=infonce", "ant_margin=0.3,0.1", "seed=1")[0].config.ant_margin == 0.1
    assert infonce("loss=infonce", "ant_margin=0.3,0.2", "seed=1")[0].config.ant_margin == 0.3


def test_identities_are_what_they_were():
    for margin in ("0.1", "0.3"):
        (job,) = infonce("loss=infonce", f"ant_margin={margin}", "seed=1")
        assert job.run_id == one("loss=infonce", f"ant_margin={margin}", "seed=1").run_id
    first, second = (one("loss=infonce", f"ant_margin={margin}") for margin in ("0.1", "0.3"))
    assert first.run_id != second.run_id
    assert training_id(first.effective) == training_id(second.effective) == first.run_id


@pytest.mark.parametrize("arguments", [["loss=ant"], ["loss=infonce", "loss.temperature=0.1,0.2"]], ids=str)
def test_what_changes_training_is_not_merged(arguments):
    planned = plan(["-m", *arguments, "ant_margin=0.1,0.3"])
    assert len({training_id(job.effective) for job in planned.jobs}) == len(planned.jobs) == 2


def test_a_loss_whose_bracket_has_no_weight_is_merged_too():
    planned = plan(["-m", "loss=ant", "loss.ant_beta=0,1", "ant_margin=0.1,0.3"])
    assert [(job.config.loss.ant_beta, job.config.ant_margin) for job in planned.jobs] == [(0, 0.1), (1, 0.1), (1, 0.3)]
    assert planned.notes[0].startswith("loss=ant with loss.ant_beta=0 trains without a margin")


def test_a_run_that_is_there_serves_whatever_its_margin():
    stored = store("loss=infonce", "ant_margin=0.4", "seed=1")
    planned = plan(["-m", "loss=infonce,ant", "ant_margin=0.1,0.3", "seed=1,2"])
    first, second = planned.jobs[:2]
    assert (first.run_id, first.folder.name, first.config.ant_margin) == (stored, stored, 0.4)
    assert first.overrides == ["loss=infonce", "ant_margin=0.4", "seed=1"]
    assert [copy[1] for copy in first.copies] == ["ant_margin=0.1", "ant_margin=0.3"]
    assert second.config.ant_margin == 0.1, "of the other seed there is none"
    assert "measured at 0.4, as in the run that is there" in planned.notes[0]


def test_a_finished_run_is_taken_before_one_that_was_begun():
    begun = store("loss=infonce", "ant_margin=0.1", "seed=1", finished=False)
    assert infonce("loss=infonce", "ant_margin=0.2,0.5", "seed=1")[0].run_id == begun
    finished = store("loss=infonce", "ant_margin=0.4", "seed=1", folder=Path("outputs/sweeps/run/by_hand"))
    (job,) = infonce("loss=infonce", "ant_margin=0.1,0.5", "seed=1")
    assert (job.run_id, job.folder.name) == (finished, "by_hand")


def test_of_several_finished_ones_the_grids_own_is_taken():
    store("loss=infonce", "ant_margin=0.1", "seed=1")
    own = store("loss=infonce", "ant_margin=0.3", "seed=1", folder=Path("outputs/sweeps/run/other"))
    assert infonce("loss=infonce", "ant_margin=0.3,0.5", "seed=1")[0].run_id == own


def test_a_run_of_other_settings_or_a_damaged_file_does_not_serve():
    store("loss=infonce", "ant_margin=0.4", "seed=1", "optimizer.lr=0.05")
    Path("outputs/sweeps/run/broken").mkdir()
    Path("outputs/sweeps/run/broken/config.yaml").write_text("seed: [")
    assert infonce("loss=infonce", "ant_margin=0.1,0.3", "seed=1")[0].config.ant_margin == 0.1


def test_another_margin_without_one_on_the_command_line_can_be_composed_again():
    stored = store("loss=infonce", "ant_margin=0.4", "seed=1", finished=False)
    (job,) = infonce("loss=infonce", "seed=1")
    assert job.run_id == stored
    assert one(*job.to_compose).run_id == stored


def test_folders_named_by_hand():
    named = "hydra.sweep.subdir=${loss.name}_${ant_margin}_${seed}"
    planned = plan(["-m", "loss=infonce,ant", "ant_margin=0.1,0.3", "seed=1", named])
    assert [job.folder.name for job in planned.jobs] == ["infonce_0.1_1", "ant_0.1_1", "ant_0.3_1"]
    store("loss=infonce", "ant_margin=0.3", "seed=1", folder=Path("outputs/sweeps/run/infonce_0.3_1"))
    (job,) = infonce("loss=infonce", "ant_margin=0.1,0.3", "seed=1", named)
    assert job.folder.name == "infonce_0.3_1"


def test_folders_named_by_number_are_those_of_the_whole_grid():
    """A sweep of before jobs were merged is found again."""
    planned = plan(["-m", "loss=infonce,ant", "ant_margin=0.1,0.3", "hydra.sweep.subdir=${hydra.job.num}"])
    assert [job.folder.name for job in planned.jobs] == ["0", "2", "3"]


def test_a_sweep_around_a_stored_configuration(tmp_path):
    store("loss=infonce", "seed=3", folder=tmp_path / "stored")
    planned = plan(["-m", "rerun=stored", "ant_margin=0.2,0.3", "seed=1"])
    (job,) = planned.jobs
    assert job.config.ant_margin == 0.2 and job.copies == [["ant_margin=0.3", "seed=1"]]
    served = store("loss=infonce", "ant_margin=0.4", "seed=1", finished=False)
    (job,) = plan(["-m", "rerun=stored", "ant_margin=0.2,0.3", "seed=1"]).jobs
    assert job.run_id == served
    assert [text for text in job.to_compose if "ant_margin" in text] == ["++ant_margin=0.4"]


def test_a_factorial_of_ant_trains_infonce_once_a_seed():
    planned = plan(
        ["-m", "loss=infonce,ant", "loss.negatives=first_view,all", "loss.reference=anchor,global", "seed=1,2"]
    )

    assert [job.config.loss.name for job in planned.jobs].count("infonce") == 2 and len(planned.jobs) == 10
    (note,) = planned.notes
    assert "loss=infonce trains without ANT" in note
    assert "loss.negatives=first_view, all loss.reference=anchor, global are one run" in note


def test_a_run_that_is_there_serves_other_negatives():
    stored = store("loss=infonce", "loss.negatives=all", "seed=1")
    (job,) = infonce("loss=infonce", "loss.negatives=first_view,both_views", "seed=1")
    assert job.run_id == stored and job.config.loss.negatives.name == "all"
    assert one(*job.to_compose).run_id == stored


def test_negatives_that_are_trained_with_are_jobs_of_their_own():
    assert len(plan(["-m", "loss=ant", "loss.negatives=first_view,all", "seed=1"]).jobs) == 2
    gap_only = ["loss=ant", "loss.ant_term=false", "loss.gap_beta=0.5"]
    assert len(plan(["-m", *gap_only, "loss.negatives=first_view,all", "seed=1"]).jobs) == 2
    assert len(plan(["-m", *gap_only, "loss.reference=anchor,global", "seed=1"]).jobs) == 1


@pytest.mark.parametrize("finished", [True, False])
def test_a_run_of_other_code_does_not_serve(monkeypatch, finished: bool):
    store("loss=infonce", "ant_margin=0.3", "seed=1", finished=finished)
    monkeypatch.setitem(parts.VERSIONS, "training", 2)
    (job,) = infonce("loss=infonce", "ant_margin=0.1,0.3", "seed=1")
    assert job.config.ant_margin == 0.1 and job.folder.name == job.run_id


def test_without_ant_the_setting_that_leaves_it_out_is_named():
    gap_only = ["loss=ant", "loss.ant_term=false", "loss.gap_beta=0.5", "loss.reference=anchor,global"]
    (note,) = plan(["-m", *gap_only, "seed=1"]).notes
    assert note.startswith("loss=ant with loss.ant_term=false trains without ANT")


def test_a_loss_of_ones_own_is_taken_to_train_with_every_key(monkeypatch):
    monkeypatch.setattr("cil.losses.available_losses", lambda: ["ant", "hinge", "infonce"])
    sweep = ["loss=ant", "loss.name=hinge", "loss.ant_beta=0", "loss.negatives=first_view,all", "ant_margin=0.1,0.3"]
    assert len(plan(["-m", *sweep, "seed=1"]).jobs) == 4
