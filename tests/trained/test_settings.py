from dataclasses import replace

import pytest

from cil.config.schema import RunConfig
from cil.config.typed import flat, plain
from cil.errors import ConfigError
from cil.planning.plan import plan
from cil.trained.settings import parse_settings, with_settings
from tests.data.packs import make_pack, write_jpegs


def test_own_keys_and_those_of_the_run_are_told_apart():
    own, others = parse_settings(["task=3", "dataset.root=a=b", "device=cpu"], {"task": None, "parts": None})

    assert own == {"task": 3, "parts": None}
    assert others == {"dataset.root": "a=b", "device": "cpu"}


@pytest.mark.parametrize("text", ["task", "=3", "--task=3"])
def test_anything_else_is_refused(text: str):
    with pytest.raises(ConfigError, match="is not KEY=VALUE"):
        parse_settings([text], {"task": None})


def test_a_key_stands_once():
    for texts in (["task=1", "task=2"], ["device=cpu", "device=cuda"]):
        with pytest.raises(ConfigError, match="is given twice"):
            parse_settings(texts, {"task": None})


@pytest.mark.parametrize("method", ["tagfex", "replay", "icarl", "joint"])
@pytest.mark.parametrize(
    ("key", "value"),
    [("dataset.root", "elsewhere"), ("dataset.num_workers", 0), ("device", "cpu"), ("trainer.eval_batch_size", 7)],
)
def test_what_the_documentation_names_may_change_in_a_run_of_any_method(method: str, key: str, value):
    """In the configuration that a run stores, with its unused keys null."""
    (job,) = plan([f"method={method}", "loss=infonce"]).jobs
    assert flat(plain(with_settings(job.config, {key: value})))[key] == value


def test_the_place_of_the_images_may_change_and_what_was_trained_may_not():
    assert with_settings(RunConfig(), {"dataset.root": "elsewhere"}).dataset.root == "elsewhere"
    with pytest.raises(ConfigError, match=r"optimizer\.lr: the run was trained with"):
        with_settings(RunConfig(), {"optimizer.lr": 3.0})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("device", "gpu", "device: 'gpu' is unknown; valid: auto, cpu, cuda, cuda:N"),
        ("trainer.eval_batch_size", 0, "trainer.eval_batch_size: 0 is out of range"),
        ("dataset.num_workers", -1, "dataset.num_workers: -1 is out of range"),
        ("prts", "matrix", r"prts: is unknown; did you mean parts\? valid: parts, dataset.root"),
    ],
)
def test_a_value_that_its_key_does_not_take(key: str, value, message: str):
    with pytest.raises(ConfigError, match=f"^{message}"):
        with_settings(RunConfig(), {key: value}, own=("parts",))


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """The same images as files and as packs."""
    folder = tmp_path_factory.mktemp("images")
    tree = write_jpegs(folder / "files", train=1, val=1, scale=2)
    for side in (80, 84):
        make_pack(tree, folder / f"pack{side}", side=side)
    return {None: str(tree)} | {side: str(folder / f"pack{side}") for side in (80, 84)}


def trained_from(roots, side, test_resize=80, image_size=72) -> RunConfig:
    config = RunConfig()
    config.dataset = replace(config.dataset, root=roots[side], pack_side=side, image_size=image_size)
    config.augment = replace(config.augment, test_resize=test_resize)
    return config


@pytest.mark.parametrize(("then", "now"), [(None, 80), (80, None), (80, 80), (84, 84), (None, None)])
def test_files_and_a_pack_stand_for_each_other_where_test_images_are_equal(roots, then, now):
    found = with_settings(trained_from(roots, then), {"dataset.root": roots[now]}).dataset
    assert (found.root, found.pack_side) == (roots[now], now)


@pytest.mark.parametrize(
    ("then", "now", "test_resize", "size"),
    [(None, 84, 80, 72), (84, None, 80, 72), (80, 84, 80, 72), (None, 80, 80, 16)],
)
def test_and_are_refused_where_they_are_not(roots, then, now, test_resize, size):
    config = trained_from(roots, then, test_resize, size)
    with pytest.raises(ConfigError, match=r"dataset\.root: .* holds .*, and the run was trained from .*; valid: "):
        with_settings(config, {"dataset.root": roots[now]})
    assert with_settings(config, {"device": "cpu"}).dataset.pack_side == then
