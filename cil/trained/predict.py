"""Classes of new images, by the network of a run."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cil.config.schema import RunConfig
from cil.data.image_files import centre_resized, evaluation_side, open_rgb
from cil.data.sources import MAX_RESIDENT_SIDE
from cil.engine.build import resolve_device
from cil.errors import ConfigError, DataError
from cil.trained.folder import StoredRun
from cil.trained.model import TrainedModel, load_model
from cil.trained.settings import check_top

BATCH = 256


def predict(
    run: StoredRun, images: Any, task: int | None, head: str | None, top: int, device: str
) -> list[dict[str, Any]]:
    """Rows of image, rank, name, id, position and score; see cil.api.run.Run.predict."""
    check_top(top)
    model = _on(load_model(run, task), device)
    rows: list[dict[str, Any]] = []
    for names, pixels in _batches(images, run.config):
        scores = _scores(model, pixels.to(model.offset.device), head)
        best = scores.topk(min(top, scores.shape[1]), dim=1)
        for name, values, positions in zip(names, best.values.tolist(), best.indices.tolist(), strict=True):
            for rank, (score, position) in enumerate(zip(values, positions, strict=True), start=1):
                found = run.classes[position]
                place = {"name": found.name, "id": found.id, "position": position}
                rows.append({"image": name, "rank": rank} | place | {"score": score})
    return rows


def _on(model: TrainedModel, device: str) -> TrainedModel:
    """The model on a device. Raises ConfigError where there is no such device."""
    try:
        return model.to(resolve_device(device))
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device: {device} cannot be used here: {reason}; valid: auto, cpu, cuda, cuda:N") from None


def _scores(model: TrainedModel, pixels: Tensor, head: str | None) -> Tensor:
    """Scores [B, C] of the chosen head: probabilities, or minus distances (nme)."""
    by_head = model.scores(pixels)
    chosen = head or model.judged_by
    if chosen not in by_head:
        raise ConfigError(f"head: {chosen!r} is not one of this run; valid: {', '.join(by_head)}")
    return by_head[chosen].softmax(dim=1) if chosen in model.method.heads else by_head[chosen]


def _batches(images: Any, config: RunConfig) -> Iterator[tuple[list[str], Tensor]]:
    """(names, images [B, 3, S, S]) in batches."""
    names: list[str] = []
    batch: list[Tensor] = []
    for name, image in _one_by_one(images):
        names.append(name)
        batch.append(_checked(name, image, config) if isinstance(image, Tensor) else _as_tested(image, config))
        if len(batch) == BATCH:
            yield names, torch.stack(batch)
            names, batch = [], []
    if batch:
        yield names, torch.stack(batch)


def _one_by_one(images: Any) -> Iterator[tuple[str, Image.Image | Tensor]]:
    """(name, image) of whatever was given. Raises DataError for what is no image."""
    if isinstance(images, str | Path | Image.Image):
        images = [images]
    if isinstance(images, np.ndarray | Tensor) and images.ndim == 3:
        images = images[None]
    if not isinstance(images, Iterable):
        raise DataError(f"images: {type(images).__name__} is not valid; expected paths, PIL images, arrays or tensors")
    for number, image in enumerate(images):
        if isinstance(image, str | Path):
            if not Path(image).expanduser().is_file():
                what = "is a folder; name its images" if Path(image).expanduser().is_dir() else "no such file"
                raise DataError(f"{image}: {what}")
            yield str(image), open_rgb(str(Path(image).expanduser()))
        elif isinstance(image, Image.Image):
            yield str(number), image.convert("RGB")
        elif isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3:
            yield str(number), Image.fromarray(image)
        elif isinstance(image, Tensor) and image.dim() == 3 and image.shape[0] == 3:
            yield str(number), image
        else:
            shape = f" {list(image.shape)} {image.dtype}" if hasattr(image, "shape") else ""
            raise DataError(
                f"images: image {number} is a {type(image).__name__}{shape}; valid: a path, a PIL image, an array "
                "uint8 [H, W, 3], a tensor [3, H, W]"
            )


def _checked(name: str, image: Tensor, config: RunConfig) -> Tensor:
    """A tensor as it is: its size must be that of the network. Raises DataError."""
    size = config.dataset.image_size
    if image.is_floating_point() and not 0 <= float(image.min()) <= float(image.max()) <= 1:
        raise DataError(f"images: tensor {name} has floating-point values outside [0, 1]; bytes have to be uint8")
    if tuple(image.shape[1:]) != (size, size):
        raise DataError(
            f"images: tensor {name} is {list(image.shape)}; valid: [3, {size}, {size}] (paths, PIL images and arrays "
            "are resized)"
        )
    return image


def _as_tested(image: Image.Image, config: RunConfig) -> Tensor:
    """An image as the run's test images are: uint8 [3, S, S]."""
    size = config.dataset.image_size
    shorter = size if size <= MAX_RESIDENT_SIDE else evaluation_side(config.augment, size)
    pixels = np.array(centre_resized(image, shorter, size))
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
