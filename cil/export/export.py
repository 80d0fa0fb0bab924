"""Writes a run's network in formats that other programs read, and checks each of them."""

import json
import logging
import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from cil.config.locations import check_can_be_made
from cil.errors import ConfigError, DataError
from cil.export.card import card, facts
from cil.export.check import check_elsewhere
from cil.export.network import ExportedNetwork, example_images, weights
from cil.files import write_atomically
from cil.trained.folder import StoredRun
from cil.trained.model import load_model

FORMATS = {"safetensors": "model.safetensors", "program": "model.pt2", "onnx": "model.onnx"}
_NEEDS = {"onnx": ("onnx", "onnxscript", "onnxruntime")}
EXAMPLES = 4
_CHECKING = ".checking."


def export_run(
    run: StoredRun,
    folder: Path | None,
    formats: Sequence[str],
    task: int | None,
    say: Callable[[str], Any] | None = None,
) -> Path:
    """Write the files; the folder they are in (default: `export` in the run's).

    say: is told of each file. Raises ConfigError for an unknown format, one whose packages are missing, a task that was
    not kept, or a folder that cannot be made; DataError where a written file cannot be used without this project or
    gives other logits.
    """
    _check_formats(formats)
    folder = run.path / "export" if folder is None else folder
    check_can_be_made(folder, "choose another place with folder=DIR")
    if folder != run.path / "export":
        _refuse_foreign(folder)
    model = load_model(run, task)
    number = run.check_task(task)
    folder.mkdir(parents=True, exist_ok=True)
    network = ExportedNetwork(model)
    size = run.config.dataset.image_size
    images = example_images(size, EXAMPLES)
    with torch.no_grad():
        logits = network(images)["logits"]
    for kind in formats:
        path = folder / FORMATS[kind]
        difference = _write(kind, path, network, images, logits)
        told = "" if difference is None else f" (loads without this project; logits differ by {difference:.1g} at most)"
        if say is not None:
            say(f"written: {path}{told}")
    classes = run.classes[: run.tasks[number - 1].known]
    write_atomically(folder / "classes.json", json.dumps(facts(run, classes, model.judged_by), indent=1) + "\n")
    parameters = sum(parameter.numel() for parameter in network.parameters())
    files = [FORMATS[kind] for kind in formats]
    write_atomically(folder / "README.md", card(run, number, files, parameters, model.judged_by))
    if say is not None:
        say(f"written: {folder / 'classes.json'}, {folder / 'README.md'}")
    return folder


def _refuse_foreign(folder: Path) -> None:
    """Raises ConfigError where files lie that no export made: a README.md of one's own must not be overwritten."""
    there = {path.name.removeprefix(_CHECKING) for path in folder.iterdir()} if folder.is_dir() else set()
    if there.issubset(FORMATS.values()):
        return  # empty, or left by an export that failed
    try:
        made = {"classes", "judged_by"} <= json.loads((folder / "classes.json").read_text(encoding="utf-8")).keys()
    except (OSError, ValueError, AttributeError):
        made = False
    if not made:
        raise ConfigError(f"folder: {folder} holds files of something else; choose an empty folder, or an export's")


def _check_formats(formats: Sequence[str]) -> None:
    if not formats:
        raise ConfigError(f"formats: is empty; valid: {', '.join(FORMATS)}")
    for kind in formats:
        if kind not in FORMATS:
            raise ConfigError(f"formats: {kind!r} is unknown; valid: {', '.join(FORMATS)}")
        missing = [package for package in _NEEDS.get(kind, ()) if find_spec(package) is None]
        if missing:
            raise ConfigError(f"formats: {kind} needs {', '.join(missing)}; pip install 'cil[{kind}]'")


def _write(kind: str, path: Path, network: ExportedNetwork, images: torch.Tensor, logits: torch.Tensor) -> float | None:
    """Write one format; how far its logits are off, for those that can be run."""
    # Under another name until it is known to be right: a file that was there before stays.
    written = path.with_name(f"{_CHECKING}{path.name}")
    try:
        difference = _write_and_check(kind, written, network, images, logits)
        os.replace(written, path)
    finally:
        written.unlink(missing_ok=True)
    return difference


def _write_and_check(
    kind: str, path: Path, network: ExportedNetwork, images: torch.Tensor, logits: torch.Tensor
) -> float | None:
    if kind == "safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        try:
            save_file(weights(network), path, metadata={"format": "pt"})
        except SafetensorError as error:
            raise DataError(f"{path.parent}: cannot be written: {error}") from None
        return None
    batch = torch.export.Dim("batch", min=1)
    with _quietly(), torch.no_grad():
        program = torch.export.export(network, (images,), dynamic_shapes={"images": {0: batch}}, strict=False)
        if kind == "program":
            try:
                torch.export.save(program, path)
            except RuntimeError as error:  # of a full disk, say
                raise DataError(f"{path.parent}: cannot be written: {str(error).splitlines()[0]}") from None
        else:
            torch.onnx.export(
                network,
                (images,),
                path,
                input_names=["images"],
                output_names=list(network(images)),
                dynamic_shapes={"images": {0: batch}},
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    return check_elsewhere(kind, path, images, logits)


@contextmanager
def _quietly() -> Any:
    """PyTorch's exporters print what no user of a network can act on."""
    level = logging.getLogger("torch").level
    logging.getLogger("torch").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.getLogger("torch").setLevel(level)
