"""Class lists: the names count, not how the file is written; faults are named by file and line."""

import hashlib
import subprocess
import sys

import pytest

from cil.config.class_list import names_hash, read_class_list
from cil.errors import ConfigError

SAME = [
    b"n02\nn01\nn03\n",
    b"n03\nn02\nn01",
    b"n01\r\nn02\r\nn03\r\n",
    b"\xef\xbb\xbfn01\nn02\nn03\n",
    b"# a comment\n\n n01\t\n\n  # another\nn02\nn03  \n",
]


@pytest.mark.parametrize("content", SAME, ids=ascii)
def test_the_same_names_are_the_same_list(tmp_path, content):
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    assert read_class_list(str(path)).names == ["n01", "n02", "n03"]
    assert names_hash(str(path)) == hashlib.sha256(b"n01\nn02\nn03").hexdigest()


@pytest.mark.parametrize("content", ["n01\nn02\n", "n01\nn02\nn04\n", "n01\nn02 n03\n", "n01\nn02\nN03\n"])
def test_other_names_are_another_list(tmp_path, content):
    path = tmp_path / "list.txt"
    path.write_text(content)
    assert names_hash(str(path)) != hashlib.sha256(b"n01\nn02\nn03").hexdigest()


def test_the_place_of_a_name(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("\ufeff# head\r\n\r\nb\r\na\r\n", newline="")
    listed = read_class_list(str(path))
    assert [listed.place(name) for name in "ab"] == [f"{path}, line 4", f"{path}, line 3"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a\n\nb\na\n", ", line 4: a is named twice, first in line 1; valid: every class once"),
        ("# head\ntrain/n01/x.JPEG 0\n", ", line 2: 'train/n01/x.JPEG 0' is a path; valid: the name of a class folder"),
        ("n01/\n", ", line 1: 'n01/' is a path; valid: "),
        ("# nothing\n", " names no class; valid: "),
        ("", " names no class; valid: "),
        (None, ": No such file or directory; valid: "),
        (b"\xff\xfen\x000\x00", ": not UTF-8 text; valid: "),
    ],
)
def test_a_fault_is_named_by_file_and_line(tmp_path, content, said):
    path = tmp_path / "list.txt"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as error:
        read_class_list(str(path))
    assert f"dataset.class_list: {path}{said}" in str(error.value)
    assert "\n" not in str(error.value)


def test_reading_a_list_is_cheap():
    code = "import sys, cil.config.class_list; sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'PIL')))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
