"""The statistics of the report, as pure functions. Means are over measured values only."""

from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Summary:
    """n values, their mean and sample standard deviation (None for n < 2)."""

    n: int
    mean: float | None
    deviation: float | None


def summarise(values: Sequence[float | None]) -> Summary:
    """Mean and sample standard deviation (divisor n - 1) of the measured values."""
    known = [value for value in values if value is not None]
    n = len(known)
    if not n:
        return Summary(0, None, None)
    mean = sum(known) / n
    if n == 1:
        return Summary(1, mean, None)
    return Summary(n, mean, (sum((value - mean) ** 2 for value in known) / (n - 1)) ** 0.5)


@dataclass(frozen=True)
class PairedTest:
    """Two-sided paired t test. low, high and p are None with fewer than two pairs, and where there is no spread."""

    n: int
    mean: float
    low: float | None
    high: float | None
    p: float | None


def paired_test(differences: Sequence[float]) -> PairedTest:
    """Mean difference with its 95 % confidence interval: mean ± t(0.975, n - 1) * deviation / sqrt(n).

    Equal differences other than zero have no interval: the test takes the spread for the noise, and a coarse figure
    shows none by chance. All zero: the interval is zero itself, p is 1.
    """
    summary = summarise(differences)
    assert summary.mean is not None, "a paired test needs at least one pair"
    n, mean = summary.n, summary.mean
    if summary.deviation is None:
        return PairedTest(n, mean, None, None, None)
    error = summary.deviation / n**0.5
    if error < 1e-12:
        return PairedTest(n, mean, 0.0, 0.0, 1.0) if abs(mean) < 1e-12 else PairedTest(n, mean, None, None, None)
    from scipy.special import stdtr, stdtrit  # a third of a second: not for --help and errors

    half = float(stdtrit(n - 1, 0.5 + CONFIDENCE / 2)) * error
    return PairedTest(n, mean, mean - half, mean + half, min(1.0, 2 * float(stdtr(n - 1, -abs(mean) / error))))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction over those that are not None (Holm 1979), in the given order."""
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        corrected[i] = largest
    return corrected
