"""Every experiment: composed, instantiated, and with expectations that the report can read."""

import re

import pytest
import torch
from omegaconf import OmegaConf

from cil.config.locations import config_dir
from cil.config.methods import available_methods
from cil.config.schema import Reference, ScheduleName
from cil.config.typed import flat, plain
from cil.data.stream import Task
from cil.errors import ConfigError
from cil.losses.base import make_loss
from cil.methods import make_method
from cil.planning.docs import option_docs
from cil.planning.plan import composed_config, plan
from cil.report.expect import read_expectations
from cil.report.figures import ACCURACIES


def brought_params(experiment):
    return OmegaConf.load(config_dir() / "experiment" / f"{experiment}.yaml").hydra.sweeper.params


EXPERIMENTS = sorted(option_docs("experiment"))
GRIDS = {
    "margin_sweep": [{"ant_margin": value} for value in (0.1, 0.2, 0.3, 0.4, 0.5)],
    "adaptive_margin": [{"margin_schedule.name": value} for value in ("linear", "curriculum")],
    "reference_grad": [{"loss.reference_grad": value} for value in (True, False)],
    "ant_factorial": [
        {"loss.name": "infonce"},
        *(
            {"loss.name": "ant", "loss.negatives": negatives, "loss.reference": reference, "loss.reference_grad": grad}
            for negatives in ("first_view", "all")
            for reference in ("anchor", "global")
            for grad in (True, False)
        ),
    ],
    "comparison": [
        {"method.name": method, "seed": seed}
        for method in str(brought_params("comparison")["method"]).split(",")
        for seed in (1993, 1994, 1995)
    ],
}
ABOUT_THE_LOSS = {"baseline", "infonce", "margin_sweep", "adaptive_margin", "gap_max", "gap_only", "hard_negatives"}
ABOUT_THE_LOSS |= {"recommended", "reference_grad"}


@pytest.fixture(autouse=True)
def _data_is_there(monkeypatch):
    monkeypatch.setattr("cil.data.sources.locate", lambda cfg: None)


def jobs_of(*arguments):
    return plan(list(arguments)).jobs


def test_the_experiments_about_the_loss_are_there():
    assert set(EXPERIMENTS) >= ABOUT_THE_LOSS


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_its_jobs_are_what_it_says(experiment):
    planned = plan([f"experiment={experiment}"])
    assert planned.multirun == (experiment in GRIDS)
    assert {job.config.name for job in planned.jobs} == {experiment}
    grid = GRIDS.get(experiment, [])
    assert len(planned.jobs) == max(1, len(grid))
    for job, values in zip(planned.jobs, grid, strict=bool(grid)):
        assert {key: flat(job.effective)[key] for key in values} == values


@pytest.mark.parametrize("experiment", sorted(ABOUT_THE_LOSS))
def test_it_sets_only_the_loss(experiment):
    default, own = (flat(plain(composed_config(more))) for more in ([], [f"experiment={experiment}"]))
    changed = {key for key, value in own.items() if value != default[key]}
    allowed = ("name", "ant_margin", "loss.", "margin_schedule.", "tracking.gradient_share_every")
    assert all(key.startswith(allowed) for key in changed), changed


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_loss_and_network_can_be_built_and_trained(experiment):
    generator = torch.Generator().manual_seed(0)
    for job in jobs_of(f"experiment={experiment}", "backbone=resnet8", "seed=1"):
        if job.config.loss.name is not None:
            rows = torch.randn(8, 16, generator=generator, requires_grad=True)
            output = make_loss(job.config.loss)(rows, rows, 0.2)
            output.loss.backward()
            assert rows.grad is not None
            assert bool(rows.grad.isfinite().all())
        method = make_method(job.config)
        method.begin_task(Task(1, (0, 1), ("a", "b"), 0))
        method.begin_epoch(0, 2)
        size = job.config.dataset.image_size
        views = torch.randn(4 * method.views, 3, size, size, generator=generator)
        total = method.loss(method.network(views), torch.tensor([0, 1, 0, 1])).total
        assert bool(total.isfinite())


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_its_file_asks_a_question_and_gives_a_command(experiment):
    text = (config_dir() / "experiment" / f"{experiment}.yaml").read_text()
    if experiment in ABOUT_THE_LOSS:
        assert f"# python -m cil.train experiment={experiment} " in text
        if experiment != "baseline":
            assert re.search(r"^# .+\?", text.splitlines()[1])


@pytest.mark.parametrize("experiment", sorted(ABOUT_THE_LOSS))
def test_its_expectations_can_be_read(experiment):
    read = read_expectations(config_dir() / "expect" / f"{experiment}.yaml")
    assert read.name == experiment
    assert read.question.endswith(("?", "stand?"))
    known = {figure.key for figure in ACCURACIES} | {"violation_rate", "seconds_per_epoch"}
    for expectation in read.expectations:
        tag = re.fullmatch(r"(contrast|grad)/[a-z_]+", expectation.figure)
        assert tag or expectation.figure in known


def test_every_expectation_belongs_to_an_experiment():
    assert {path.stem for path in (config_dir() / "expect").glob("*.yaml")} <= set(EXPERIMENTS)


def test_the_numbers_of_the_experiments():
    def config(experiment):
        return jobs_of(f"experiment={experiment}")[0].config

    baseline, recommended = config("baseline"), config("recommended")
    assert (baseline.loss.name, baseline.ant_margin, baseline.loss.ant_beta) == ("ant", 0.1, 1)
    assert (baseline.loss.reference, baseline.margin_schedule.name) == (Reference.anchor, ScheduleName.constant)
    gap, hard = config("gap_max"), config("hard_negatives")
    assert (gap.loss.gap_target, gap.loss.gap_beta, gap.ant_margin) == (0.7, 0.5, 0.3)
    assert gap.tracking.gradient_share_every > 0
    assert (hard.loss.hard_negative_ratio, hard.ant_margin) == (0.3, 0.2)
    linear, curriculum = (job.config for job in jobs_of("experiment=adaptive_margin"))
    for ramp in (linear, recommended):
        assert ramp.margin_schedule.name is ScheduleName.linear
        assert (ramp.ant_margin, ramp.margin_schedule.target_margin, ramp.margin_schedule.end_epoch) == (0.1, 0.5, None)
    assert (curriculum.margin_schedule.margins, curriculum.ant_margin) == ([0.1, 0.3, 0.5, 0.6], None)
    assert (recommended.loss.nce_alpha, recommended.loss.ant_beta, recommended.loss.gap_beta) == (1, 1, 0.5)
    assert recommended.loss.reference is Reference.anchor
    only = config("gap_only")
    assert (only.loss.ant_term, only.loss.gap_beta, only.loss.formulation) == (False, 0.5, None)


def test_the_same_margins_whatever_the_data_set():
    # loss=ant_adaptive would take the preset of CIFAR-100 10-10, 0.1 to 0.4 over 120 epochs
    for job in jobs_of("experiment=adaptive_margin", "dataset=cifar100")[:1]:
        assert job.config.margin_schedule.target_margin == 0.5


class TestComparison:
    def test_every_method_stands_in_it(self):
        assert {values["method.name"] for values in GRIDS["comparison"]} == set(available_methods())

    def test_one_method_is_a_part_of_it(self):
        jobs = jobs_of("experiment=comparison", "method=replay", "seed=1")
        assert [(job.config.method.name, job.config.seed) for job in jobs] == [("replay", 1)]

    @pytest.mark.parametrize("dataset", sorted(option_docs("dataset")))
    def test_its_augmentation_is_plain_or_the_data_sets_own(self, dataset):
        plain_one = "cifar_plain" if dataset.startswith("cifar") else None
        chosen, own = (
            composed_config([f"dataset={dataset}", *more])
            for more in (["experiment=comparison"], [f"augment={plain_one}"] if plain_one else [])
        )
        assert chosen.augment == own.augment

    def test_another_augmentation_can_be_chosen(self):
        chosen = composed_config(["experiment=comparison", "dataset=cifar100", "augment=cifar"])
        assert chosen.augment == composed_config(["dataset=cifar100"]).augment

    def test_a_data_set_from_elsewhere_needs_an_augmentation(self, tmp_path):
        (tmp_path / "dataset").mkdir()
        text = (config_dir() / "dataset/digits.yaml").read_text()
        (tmp_path / "dataset/mine.yaml").write_text(text)
        command = ["--config-dir", str(tmp_path), "experiment=comparison", "method=replay", "seed=1", "dataset=mine"]
        with pytest.raises(ConfigError, match=r"augment: experiment=comparison knows no augmentation for dataset=mine"):
            plan(command)
        assert plan([*command, "augment=digits"]).jobs


def test_experiments_stack_on_a_setting():
    jobs = jobs_of("experiment=[mini_cifar,margin_sweep]", "seed=1,2")
    assert len(jobs) == 10
    assert {(job.config.dataset.name, job.config.loss.name, job.config.name) for job in jobs} == {
        ("cifar100", "ant", "margin_sweep")
    }


def test_methods_side_by_side_have_the_same_first_task():
    """What a method was published with must not decide a comparison at another size."""
    keys = ("lr", "momentum", "init_weight_decay")
    jobs = jobs_of("-m", "experiment=mini_methods", f"method={','.join(available_methods())}")
    assert len(jobs) == len(available_methods())
    assert len({tuple(getattr(job.config.optimizer, key) for key in keys) for job in jobs}) == 1
    assert len({(job.config.trainer.init_epochs, job.config.trainer.batch_size) for job in jobs}) == 1
