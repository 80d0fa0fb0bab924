"""What a data source returns: images and labels as they lie on disk, before any task or transform."""

from dataclasses import dataclass

import numpy as np

from cil.data.pack import PackedImages


@dataclass(frozen=True)
class ImageSet:
    """N images with labels: decoded (`pixels`), as files (`paths`) or in a pack (`packed`).

    labels: int64 [N], positions in the data set's class list.
    pixels: uint8 [N, 3, H, W], or None.
    paths: str [N], or None.
    packed: N images of a pack, or None.
    """

    labels: np.ndarray
    pixels: np.ndarray | None = None
    paths: np.ndarray | None = None
    packed: PackedImages | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: np.ndarray) -> "ImageSet":
        """The images at `indices`, in that order."""
        return ImageSet(
            self.labels[indices],
            None if self.pixels is None else self.pixels[indices],
            None if self.paths is None else self.paths[indices],
            None if self.packed is None else self.packed.subset(indices),
        )


@dataclass(frozen=True)
class RawDataset:
    """A data set: `classes` is the sorted class list that labels index; `val` is empty without a holdout."""

    name: str
    classes: tuple[str, ...]
    train: ImageSet
    test: ImageSet
    val: ImageSet | None = None
    class_list: tuple[str, str] | None = None
    """(file name, sha256 of the sorted names) of the class list the classes were chosen by."""
    passed_over: tuple[str, ...] = ()
    """A line for each kind of file that lies in the data set and is not used; they are said as warnings."""
