import pytest

from cil.config.schema import RunConfig
from cil.config.typed import flat, plain
from cil.errors import ConfigError
from cil.planning.plan import plan
from cil.trained.settings import parse_settings, with_settings


def test_own_keys_and_those_of_the_run_are_told_apart():
    own, others = parse_settings(["task=3", "dataset.root=a=b", "device=cpu"], {"task": None, "parts": None})

    assert own == {"task": 3, "parts": None}
    assert others == {"dataset.root": "a=b", "device": "cpu"}


@pytest.mark.parametrize("text", ["task", "=3", "--task=3"])
def test_anything_else_is_refused(text: str):
    with pytest.raises(ConfigError, match="is not KEY=VALUE"):
        parse_settings([text], {"task": None})


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
