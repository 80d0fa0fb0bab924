"""Keys that say what to do: read from the command line, never part of a configuration."""

import pytest

from cil.config.launch import LaunchConfig, split_launch
from cil.config.names import unknown_key
from cil.errors import ConfigError
from cil.planning.plan import plan


def test_launch_keys_are_taken_out():
    launch = split_launch(["seed=1", "dry_run=true", "resume=a/b", "probe=false"])
    assert launch.overrides == ["seed=1"]
    assert launch.options == LaunchConfig(resume="a/b", dry_run=True, probe=False)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], LaunchConfig(None, None, False, None)),
        (["dry_run=false", "probe=null"], LaunchConfig()),
        (["dry_run=True"], LaunchConfig(dry_run=True)),
        (["resume=null", "rerun=null"], LaunchConfig()),
    ],
    ids=str,
)
def test_values(texts, expected):
    assert split_launch(texts).options == expected


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["dry_run=1"], "dry_run: '1' is not valid; expected true or false"),
        (["dry_run=null"], "dry_run: 'null' is not valid; expected true or false"),
        (["probe=yes"], "probe: 'yes' is not valid; expected true or false or null"),
        (["+dry_run=true"], "+dry_run=true: write dry_run=VALUE"),
        (["++probe=true"], "write probe=VALUE"),
        (["dry_run"], "dry_run: write dry_run=VALUE"),
        (["~resume"], "write resume=VALUE"),
        (["resume=a", "rerun=b"], "resume, rerun: only one of them"),
        (["dry_run=true", "probe=true"], "dry_run, probe: only one of them"),
    ],
    ids=str,
)
def test_mistakes(texts, message):
    with pytest.raises(ConfigError) as caught:
        split_launch(texts)
    assert message in str(caught.value)


@pytest.mark.parametrize(("typo", "meant"), [("dryrun", "dry_run"), ("resum", "resume"), ("prob", "probe")])
def test_a_typo_is_told_the_key(typo, meant):
    assert f"did you mean {meant}?" in str(unknown_key(typo))
    with pytest.raises(ConfigError, match=f"did you mean {meant}"):
        plan([f"{typo}=true"])


def test_the_plan_knows_and_hydra_does_not():
    planned = plan(["-m", "seed=1,2", "dry_run=true"])
    assert planned.launch.dry_run
    assert planned.argv == ["-m", "seed=1,2"]
    assert all("dry_run" not in job.effective for job in planned.jobs)
    assert plan(["probe=true"]).launch.probe is True


@pytest.mark.parametrize("text", ["resume=", "rerun=", "resume=''", 'rerun=""'])
def test_an_empty_folder_is_no_fresh_start(text):
    with pytest.raises(ConfigError, match="is empty; expected a run's folder"):
        split_launch([text])
