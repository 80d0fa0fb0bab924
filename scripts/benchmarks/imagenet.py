"""Two random resized crops of 224 pixels of ImageNet's files, a core's worth: files and a pack against torchvision.

ROOT holds train/CLASS/*.JPEG and val/CLASS/*.JPEG. All sides work on the same images in the same batches, in turn in
one process with one thread; what counts is processor time, so other processes on the machine disturb little.
torchvision's side is ImageFolder with RandomResizedCrop drawn twice from each decoded image, once with ToTensor
(floats, as usual) and once with PILToTensor (8 bits, as here); flips and normalisation are left out on all sides.
Decoders alone follow; those that are not installed are passed over.

    python scripts/benchmarks/imagenet.py ROOT --rounds 5
"""

import argparse
import io
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import PIL
import torch
import torchvision
from PIL import Image
from torchvision import transforms
from torchvision.datasets import ImageFolder

from cil.config.schema import CropResampling, DatasetConfig
from cil.data.base import ImageSet
from cil.data.decoding import BatchDecoder, BatchRequest, Item
from cil.data.packing import SIDE, pack
from cil.data.sources import load_whole

SIZE, BATCH = 224, 25
Side = Callable[[], object]


def torchvision_side(root: Path, rows: Sequence[int], last: Callable[[Image.Image], torch.Tensor]) -> Side:
    """Two views of each image, stacked batch by batch."""
    crop = transforms.Compose([transforms.RandomResizedCrop(SIZE), last])
    folder = ImageFolder(str(root / "train"), transform=lambda image: (crop(image), crop(image)))

    def run() -> None:
        for start in range(0, len(rows), BATCH):
            pairs = [folder[row][0] for row in rows[start : start + BATCH]]
            torch.stack([pair[view] for view in range(2) for pair in pairs])

    return run


def own_side(images: ImageSet, rows: Sequence[int], resampling: CropResampling) -> Side:
    """What a worker process does."""
    decoder = BatchDecoder(SIZE, True, SIDE, resampling)
    items: list[Item]
    if images.packed is not None:
        items = [*images.packed.at(np.array(rows))]
    else:
        assert images.paths is not None
        items = [*images.paths[np.array(rows)].tolist()]

    def run() -> None:
        for start in range(0, len(items), BATCH):
            decoder[BatchRequest(items[start : start + BATCH], ((1, 1, 0, start), range(BATCH)))]

    return run


def decoders() -> dict[str, Callable[[bytes], np.ndarray]]:
    """Name -> decoder of a JPEG's bytes to uint8 [H, W, 3], of those that are installed."""

    def pillow(data: bytes) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

    def draft(data: bytes) -> np.ndarray:
        image = Image.open(io.BytesIO(data))
        image.draft("RGB", (SIZE, SIZE))
        return np.asarray(image.convert("RGB"))

    found: dict[str, Callable[[bytes], np.ndarray]] = {"Pillow": pillow, "Pillow, draft": draft}
    try:
        from torchvision.io import ImageReadMode, decode_jpeg

        found["torchvision"] = lambda data: (
            decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), ImageReadMode.RGB)
            .permute(1, 2, 0)
            .numpy()
        )
    except ImportError:
        print("torchvision.io.decode_jpeg: not there")
    try:
        from torchcodec.decoders import decode_jpeg as codec  # type: ignore[import-not-found]

        found["torchcodec"] = lambda data: codec(_bytes(data)).permute(1, 2, 0).numpy()
    except (ImportError, RuntimeError, OSError):
        print("torchcodec: not installed")
    try:
        import simplejpeg  # type: ignore[import-not-found]

        found["simplejpeg"] = lambda data: simplejpeg.decode_jpeg(data, "RGB", fastdct=False, fastupsample=False)
    except ImportError:
        print("simplejpeg: not installed")
    return found


def _bytes(data: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def timed(sides: dict[str, Side], rounds: int, images: int) -> dict[str, list[float]]:
    """Milliseconds of processor time an image, of each round; the first round warms up and does not count."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            start = time.process_time()
            side()
            if number:
                times[name].append(1e3 * (time.process_time() - start) / images)
    return times


def show(times: dict[str, list[float]], reference: str) -> None:
    """A line for each side: medians, ranges and how many times as fast as the reference."""
    base = statistics.median(times[reference])
    for name, values in times.items():
        middle = statistics.median(values)
        spread = f"{min(values):.2f} to {max(values):.2f}"
        print(f"{name:28s} {middle:6.2f} ms ({spread}) {1e3 / middle:7.0f} images/s a core   x {base / middle:.2f}")


def main() -> None:
    """Pack, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=500, help="at most so many")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    warnings.simplefilter("ignore")

    cfg = DatasetConfig(name="imagenet100", source="image_folder", root=str(args.root), image_size=SIZE)
    raw = load_whole(cfg)
    rows = np.random.default_rng(0).permutation(len(raw.train))[: args.images].tolist()
    with tempfile.TemporaryDirectory() as folder:
        pack(raw, Path(folder) / "pack", SIDE, 0, lambda *_: None)
        packed = load_whole(DatasetConfig(**(vars(cfg) | {"root": f"{folder}/pack", "pack_side": SIDE})))
        sides = {
            "torchvision, ToTensor": torchvision_side(args.root, rows, transforms.ToTensor()),
            "torchvision, PILToTensor": torchvision_side(args.root, rows, transforms.PILToTensor()),
            "files, pillow": own_side(raw.train, rows, CropResampling.pillow),
            "files, torch": own_side(raw.train, rows, CropResampling.torch),
            "pack, pillow": own_side(packed.train, rows, CropResampling.pillow),
            "pack, torch": own_side(packed.train, rows, CropResampling.torch),
        }
        print(f"{len(rows)} images; torch {torch.__version__}, torchvision {torchvision.__version__}, ", end="")
        print(f"Pillow {PIL.__version__}, {torch.backends.cpu.get_cpu_capability()}")
        show(timed(sides, args.rounds, len(rows)), "torchvision, ToTensor")

    assert raw.train.paths is not None
    data = [Path(path).read_bytes() for path in raw.train.paths[rows[:200]]]
    found = decoders()
    reference = [found["Pillow"](one) for one in data]
    alone: dict[str, Side] = {name: lambda f=f: [f(one) for one in data] for name, f in found.items()}  # type: ignore[misc]
    print("\ndecoding alone")
    show(timed(alone, args.rounds, len(data)), "Pillow")
    for name, decode in found.items():
        equal = sum(np.array_equal(decode(one), pixels) for one, pixels in zip(data, reference, strict=True))
        print(f"{name:28s} {equal} of {len(data)} images as Pillow's")


if __name__ == "__main__":
    main()
