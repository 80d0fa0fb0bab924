"""Named random streams.

Every draw comes from a generator derived from (seed, names and numbers that say what it is for), never from
a shared global state: what one part of a run draws cannot shift what another part sees, and a run that
resumes in the middle of an epoch draws what the unbroken run would have drawn.
"""

import hashlib

import torch

StreamKey = tuple[int | str, ...]
"""The run's seed, then what else names a stream."""


def stream_seed(seed: int, *key: str | int) -> int:
    """A 63-bit seed for the stream named by `key`, e.g. (1993, "augment", task, epoch, step)."""
    text = "/".join(str(part) for part in (seed, *key))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *key: str | int) -> torch.Generator:
    """A fresh CPU generator for the stream named by `key`."""
    return torch.Generator().manual_seed(stream_seed(seed, *key))
