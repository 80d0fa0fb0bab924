"""What devices can compute at most, as their makers say. Imports no torch."""

import re

from cil.config.schema import Precision

PEAKS: dict[str, tuple[float, float | None, str]] = {
    "H200": (67, 989, "NVIDIA H200 data sheet (SXM)"),
    "H100 NVL": (60, 835, "NVIDIA H100 data sheet (NVL)"),
    "H100 PCIe": (51, 756, "NVIDIA H100 data sheet (PCIe)"),
    "H100": (67, 989, "NVIDIA H100 data sheet (SXM)"),
    "A100": (19.5, 312, "NVIDIA A100 data sheet"),
    "A40": (37.4, 149.7, "NVIDIA A40 data sheet"),
    "A10": (31.2, 125, "NVIDIA A10 data sheet"),
    "L40S": (91.6, 362, "NVIDIA L40S data sheet"),
    "L4": (30.3, 121, "NVIDIA L4 data sheet"),
    "RTX 4090": (82.6, 165.2, "NVIDIA Ada GPU architecture white paper (16-bit with fp32 accumulation)"),
    "RTX 3090": (35.6, 71, "NVIDIA Ampere GA102 white paper (16-bit with fp32 accumulation)"),
    "V100": (15.7, 125, "NVIDIA V100 data sheet (SXM2; fp16 alone)"),
    "T4": (8.1, 65, "NVIDIA T4 data sheet (fp16 alone)"),
}
"""Name -> (fp32, 16-bit on tensor cores) in TFLOP/s of dense arithmetic without TF32, and the source.

A longer name stands before one that it contains.
"""


def peak_flops(device: str, precision: Precision) -> tuple[float, str] | None:
    """(FLOP/s, source) of a device by the name that its driver gives, None where it is not in the table."""
    if re.search(r"Laptop|Mobile|4090 D", device):
        return None  # of the same name, but slower
    for name, (single, half, source) in PEAKS.items():
        if re.search(rf"(?<![A-Za-z0-9]){name}(?![A-Za-z0-9])", device):
            value = single if precision is Precision.fp32 else half
            return None if value is None else (value * 1e12, source)
    return None
