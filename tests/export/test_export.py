import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

import cil
from cil.config.methods import available_methods
from cil.engine.build import build_data
from cil.engine.model_size import begin_whole, model_size
from cil.errors import ConfigError, DataError
from cil.export import check
from cil.export.cli import main
from cil.export.network import ExportedNetwork, example_images, weights
from cil.methods import make_method
from cil.trained.model import TrainedModel
from tests.finished import Finished
from tests.methods.networks import config, tasks

ELSEWHERE = """
import sys
import numpy as np
import torch
sys.modules["cil"] = None
given = torch.from_numpy(np.load(sys.argv[2]))
outputs = torch.export.load(sys.argv[1]).module()(given)
np.savez(sys.argv[3], **{name: value.detach().numpy() for name, value in outputs.items()})
"""


@pytest.fixture(scope="module")
def exported(finished: Finished, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("exported")
    assert main([str(finished.path), f"folder={folder}"]) == 0
    return folder


def test_the_program_says_the_same_of_every_test_image_without_this_project(finished: Finished, exported, tmp_path):
    run = cil.load(finished.path)
    data = build_data(run.config)
    indices, targets = data.indices("test", 0, 7)
    images = torch.from_numpy(data.raw.test.pixels[indices])
    np.save(tmp_path / "images.npy", (images.float() / 255).numpy())
    arguments = [exported / "model.pt2", tmp_path / "images.npy", tmp_path / "outputs.npz"]

    subprocess.run([sys.executable, "-I", "-c", ELSEWHERE, *map(str, arguments)], check=True, cwd=tmp_path)

    outputs, expected = np.load(tmp_path / "outputs.npz"), run.model()(images)
    np.testing.assert_allclose(outputs["logits"], expected.logits.numpy(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(outputs["features"], expected.features.numpy(), rtol=1e-5, atol=1e-5)
    hits = 100 * (outputs["nme"].argmax(axis=1) == targets).mean()
    assert hits == pytest.approx(run.result["curves"]["nme_top1"][-1])


def test_weights_classes_and_card(finished: Finished, exported):
    run = cil.load(finished.path)
    tensors = load_file(exported / "model.safetensors")
    facts = json.loads((exported / "classes.json").read_text())
    card = (exported / "README.md").read_text()

    assert (
        sum(t.numel() for name, t in tensors.items() if "weight" in name or "bias" in name)
        == (run.result["tasks"][-1]["parameters"])
    )
    assert [one["name"] for one in facts["classes"]] == [one.name for one in run.classes]
    assert facts["judged_by"] == "nme"
    assert f"{run.result['curves']['nme_top1'][-1]:.2f} %" in card and "icarl" in card


def test_the_snippet_of_the_card_runs(finished: Finished, exported, tmp_path):
    """In a folder with the files and a picture, and without this project."""
    from PIL import Image

    size = cil.load(finished.path).config.dataset.image_size
    pixels = np.random.default_rng(0).integers(0, 255, (2 * size, 3 * size, 3), dtype=np.uint8)
    for name in ("classes.json", "model.pt2"):
        (tmp_path / name).write_bytes((exported / name).read_bytes())
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    snippet = (exported / "README.md").read_text().split("```python\n")[1].split("```")[0]

    program = "import sys; sys.modules['cil'] = None\n" + snippet
    done = subprocess.run([sys.executable, "-I", "-c", program], cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    best = cil.load(finished.path).predict(tmp_path / "picture.png", head="classifier", top=1)
    assert done.stdout.strip() == best.iloc[0]["name"]


@pytest.mark.parametrize("name", available_methods())
def test_every_method_can_be_exported_with_what_predicts_and_no_more(name: str):
    """Two tasks begun, nothing trained: the network has its shape and some weights."""
    settings = replace(config(name), ant_margin=0.1)
    method = make_method(settings)
    for task in tasks(2, 3):
        begin_whole(method, task)
    model = TrainedModel(method, settings.augment, None)
    network = ExportedNetwork(model)
    images = example_images(8, 3)

    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(network, (images[:2],), dynamic_shapes={"images": {0: batch}}, strict=False)

    outputs = program.module()(images)
    assert set(outputs) == {"logits", "features", *method.heads} - {"classifier"}
    torch.testing.assert_close(outputs["logits"], model(images).logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(program.module()(images[:1])["logits"], outputs["logits"][:1], rtol=1e-4, atol=1e-4)
    held = sum(t.numel() for n, t in weights(network).items() if n.startswith("deployed") and t.is_floating_point())
    assert 4 * held == model_size(method).bytes


def test_an_export_that_says_something_else_is_an_error(exported, tmp_path):
    images = example_images(8, 4)
    network = torch.export.load(exported / "model.pt2").module()
    logits = network(images)["logits"].detach()

    assert check.check_elsewhere("program", exported / "model.pt2", images, logits) <= check.TOLERANCE
    with pytest.raises(DataError, match="other logits"):
        check.check_elsewhere("program", exported / "model.pt2", images, logits + logits.abs().max())
    (tmp_path / "broken.pt2").write_bytes(b"nothing")
    with pytest.raises(DataError, match="cannot be used without this project"):
        check.check_elsewhere("program", tmp_path / "broken.pt2", images, logits)


def test_onnx_gives_the_same_logits(finished: Finished, tmp_path, capsys):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)

    assert main([str(finished.path), "formats=onnx", f"folder={tmp_path}"]) == 0

    assert "loads without this project" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["formats=keras"], "formats: 'keras' is unknown; valid: safetensors, program, onnx"),
        (["task=9"], "task: 9"),
        (["dataset.root=x"], "dataset.root: is unknown; valid: task, formats, folder"),
        (["folder=/dev/null"], "/dev/null: cannot be made, /dev/null is no folder; choose another place with folder="),
    ],
)
def test_a_wrong_argument_is_one_line(finished: Finished, capsys, words: list[str], message: str):
    assert main([str(finished.path), *words]) == 2

    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_file_that_fails_its_check_does_not_replace_a_good_one(finished: Finished, exported, tmp_path, monkeypatch):
    good = (exported / "model.pt2").read_bytes()
    before = {path.name for path in exported.iterdir()}
    for path in exported.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())

    def fails(*_):
        raise DataError("other logits")

    monkeypatch.setattr("cil.export.export.check_elsewhere", fails)
    assert main([str(finished.path), f"folder={tmp_path}", "formats=program"]) == 1
    assert (tmp_path / "model.pt2").read_bytes() == good
    assert {path.name for path in tmp_path.iterdir()} == before


def test_files_of_something_else_are_not_overwritten(finished: Finished, tmp_path, monkeypatch, capsys):
    (tmp_path / "README.md").write_text("mine")
    monkeypatch.chdir(tmp_path)
    for place in (".", str(tmp_path)):
        assert main([str(finished.path), f"folder={place}", "formats=safetensors"]) == 2
        assert f"folder: {place} holds files of something else" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="holds files of something else"):
        cil.load(finished.path).export("", formats="safetensors")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("README.md", "mine")]
    for _ in range(2):  # an export may be made anew
        assert cil.load(finished.path).export(tmp_path / "new", formats="safetensors") == tmp_path / "new"


def test_a_disk_that_is_full_is_one_line(finished: Finished, tmp_path, monkeypatch, capsys):
    def fails(*_, **__):
        raise SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", fails)
    assert main([str(finished.path), f"folder={tmp_path / 'new'}", "formats=safetensors"]) == 1
    assert capsys.readouterr().err == (
        f"data error: {tmp_path / 'new'}: cannot be written: I/O error: No space left on device\n"
    )
    monkeypatch.undo()
    (tmp_path / "new" / "model.pt2").touch()  # one that was written before another one failed
    assert main([str(finished.path), f"folder={tmp_path / 'new'}", "formats=safetensors"]) == 0
