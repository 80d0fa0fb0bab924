"""The same on CUDA, with bit-reproducible kernels."""

import pytest

from tests.faults.conftest import CUDA, Reference
from tests.faults.runs import assert_same_outcome, resume
from tests.faults.test_kill import POINTS, finished, killed

pytestmark = [
    pytest.mark.faults,
    pytest.mark.cuda,
]


@pytest.mark.parametrize(("place", "share", "every"), POINTS, ids=[f"{p}-{s:.3f}-{e:g}min" for p, s, e in POINTS])
def test_a_run_killed_at_a_random_point(cuda_reference: Reference, tmp_path, place, share, every):
    call = 1 + int(share * cuda_reference.calls[place])
    killed(tmp_path / "run", place, call, f"checkpoint.every_minutes={every}", *CUDA)
    finished(resume(tmp_path / "run"))
    assert_same_outcome(tmp_path / "run", cuda_reference.folder)
