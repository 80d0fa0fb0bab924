"""config.yaml can be read back, and nothing dangerous is read."""

from copy import deepcopy

import pytest

from cil.config.typed import flat, load_effective, plain, to_yaml, typed
from cil.errors import ConfigError
from tests.planning.helpers import one


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["loss=infonce", "name=1e3", "seed=0"],
        ["loss=ant_curriculum", "class_order=[9,8,7,6,5,4,3,2,1,0]"],
        ["optimizer.lr=1e-5", "optimizer.inc_weight_decay=1e-12", "ant_margin=0.30000000000000004"],
        ["name=on", 'dataset.root="/tmp/a: b #c"'],
    ],
    ids=" ".join,
)
def test_written_and_read_back(arguments, tmp_path):
    job = one(*arguments)
    text = to_yaml(job.effective)
    assert "${" not in text
    assert "hydra" not in job.effective
    path = tmp_path / "config.yaml"
    path.write_text(text)
    loaded = load_effective(path)
    assert loaded == job.config
    assert type(loaded.method) is type(job.config.method)
    assert plain(loaded) == job.effective


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("hydra: {run: {dir: x}}", "hydra"),
        ("extra: {_target_: os.system}", "_target_"),
        ("name: ${oc.env:HOME}", "${"),
        ("unknown: 1", "unknown: unknown key"),
        ("seed: [1", "cannot be read"),
        ("seed: many", "seed: 'many' is not valid"),
    ],
)
def test_a_stored_configuration_is_not_trusted(line, expected, tmp_path):
    path = tmp_path / "config.yaml"
    key = line.split(":")[0]
    kept = [row for row in to_yaml(one().effective).splitlines() if not row.startswith(f"{key}:")]
    path.write_text("\n".join([*kept, line]))
    with pytest.raises(ConfigError) as caught:
        load_effective(path)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "- 1\n", "!!python/object/apply:os.getcwd []\n"])
def test_what_is_no_configuration(text, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        load_effective(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_effective(tmp_path / "config.yaml")


def test_every_key_must_be_there():
    complete = one().effective
    for key in flat(complete):
        content = deepcopy(complete)
        group, _, name = key.rpartition(".")
        del (content[group] if group else content)[name]
        with pytest.raises(ConfigError, match=key if key != "method.name" else "no method"):
            typed(content)


def test_failed_conversion_leaves_nothing_behind():
    good = one().effective
    with pytest.raises(ConfigError):
        typed({**good, "seed": "x"})
    assert plain(typed(good)) == good
