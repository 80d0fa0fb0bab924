import json

from cil.run.folder import RunFolder, plain, read_status


def test_files_never_hold_nan():
    assert plain({"a": [float("nan"), 1.0, {"b": float("inf")}], "c": (2,)}) == {
        "a": [None, 1.0, {"b": None}],
        "c": [2],
    }


def test_status_goes_from_running_to_the_end(tmp_path):
    folder = RunFolder(tmp_path)
    assert read_status(tmp_path) == {}
    folder.begin()
    running = read_status(tmp_path)
    assert running["state"] == "running"
    assert running["pid"] > 0
    folder.progress(task=1)
    folder.end("failed", error="boom", where={"task": 1})
    failed = json.loads(folder.status.read_text())
    assert (failed["state"], failed["error"], failed["where"]) == ("failed", "boom", {"task": 1})
    assert failed["progress"] == {"task": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]
