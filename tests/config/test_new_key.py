"""A key of the loss is added by its field alone: no YAML file, no table of rules, no list of names has to follow."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIELD = '''
    sharpness: float | None = key(
        0.5, rule=between(0, 1), neutral=0.0, used=when("loss.formulation", is_("softplus")), needed=WHERE_USED
    )
    """How sharp it is."""
'''


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """A copy of the program whose loss has one more key."""
    folder = tmp_path_factory.mktemp("program")
    for name in ("cil", "conf"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "cil/config/schema_loss.py"
    first, rest = path.read_text().split("\n\n\n@dataclass\nclass MarginScheduleConfig", 1)
    path.write_text(f"{first}{FIELD}\n\n@dataclass\nclass MarginScheduleConfig{rest}")
    return folder


def ask(program, code):
    """What the program prints last, as JSON."""
    environment = os.environ | {"PYTHONPATH": str(program)}
    done = subprocess.run(
        [sys.executable, "-c", f"import json\n{code}"], cwd=program, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


COMMANDS = """
from cil.planning.plan import plan
from cil.errors import ConfigError

def said(*arguments):
    try:
        jobs = plan(list(arguments))
    except ConfigError as error:
        return str(error)
    return [[job.effective["loss"]["sharpness"] for job in jobs.jobs], jobs.warnings]

soft = ("loss=ant", "loss.formulation=softplus")
print(json.dumps([
    said(*soft), said("-m", *soft, "loss.sharpness=0.1,0.9"), said(*soft, "loss.sharpness=2"),
    said(*soft, "loss.sharpness=null"), said("loss=infonce", "loss.sharpness=0.2"), said("loss.sharpnes=1"),
]))
"""


def test_on_the_command_line(program):
    default, swept, beyond, null, unused, typo = ask(program, COMMANDS)
    assert default == [[0.5], []]
    assert swept == [[0.1, 0.9], []]
    assert beyond == "loss.sharpness: 2 is out of range; must lie in [0, 1]"
    assert null == "loss.sharpness: needs a value, null is not valid with the chosen settings"
    assert unused == [[None], ["loss.sharpness: has no effect with loss=infonce; recorded as null"]]
    assert typo == "loss.sharpnes: unknown key; did you mean loss.sharpness?"


EARLIER = """
from pathlib import Path
from cil.config.identity import run_id
from cil.planning.plan import plan
from cil.planning.stored import stored_config

folders = [path.parent for path in sorted(Path("RUNS").glob("**/config.yaml"))]
print(json.dumps([[
    [run_id(stored_config("resume", str(folder))), plan([f"resume={folder}"]).jobs[0].run_id] for folder in folders
], [folder.name for folder in folders]]))
""".replace("RUNS", str(ROOT / "tests/compat/outputs/sweeps"))


def test_earlier_runs_keep_their_identity_and_are_continued(program):
    found, names = ask(program, EARLIER)
    assert len(names) == 3
    assert found == [[name, name] for name in names]


ELSEWHERE = """
from cil.planning.docs import key_table, schemas
from cil.planning.plan import composed_config, plan
from cil.sweep.probe_report import run_effects

table = key_table("loss", schemas()["loss"], composed_config())
row = next(line for line in table.splitlines() if "loss.sharpness" in line)
(job,) = plan(["loss=ant", "loss.formulation=softplus"]).jobs
print(json.dumps([row, next(line for line in run_effects(job).splitlines() if "loss.sharpness" in line).split()]))
"""


def test_in_documentation_and_probe(program):
    row, probed = ask(program, ELSEWHERE)
    assert row == "| `loss.sharpness` | a number or null, in [0, 1] | `0.5` | How sharp it is. |"
    assert probed == ["loss.sharpness", "0.5", "1", "nothing"]  # no loss looks at it
