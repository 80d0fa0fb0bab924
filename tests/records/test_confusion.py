import numpy as np
import pytest

from cil.errors import DataError
from cil.records.confusion import FILE, read_confusions, write_confusions


def test_what_was_written_is_read_and_numpy_reads_it_alone(tmp_path):
    counts = {1: {"classifier": np.eye(2, dtype=np.int32)}, 12: {"nme": np.ones((3, 3), np.int32)}}

    write_confusions(tmp_path, counts)

    found = read_confusions(tmp_path)
    assert found.keys() == {1, 12} and np.array_equal(found[12]["nme"], counts[12]["nme"])
    assert np.load(tmp_path / FILE, allow_pickle=False)["task_01.classifier"].tolist() == [[1, 0], [0, 1]]


def test_no_file_is_no_counts_and_a_damaged_one_is_said(tmp_path):
    assert read_confusions(tmp_path) == {}
    (tmp_path / FILE).write_bytes(b"PK nonsense")
    with pytest.raises(DataError, match=r"confusion.npz: cannot be read"):
        read_confusions(tmp_path)
