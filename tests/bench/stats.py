"""Numbers about numbers: percentiles, slopes, quantiles of a histogram, a page of metrics.

Pure, so that tests hold it: a benchmark whose arithmetic is wrong looks like one that is right.
"""

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

Samples = Sequence[float]
QUANTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99_9": 0.999}
_LINE: Final = re.compile(r"^([a-zA-Z_:][\w:]*(?:\{[^}]*\})?) (\S+)$")


def percentile(ordered: Samples, share: float) -> float:
    """Return the nearest-rank percentile of ascending samples: a value that was measured."""
    if not ordered:
        raise ValueError("no samples")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def summary(samples: Samples) -> dict[str, float]:
    """Return count, mean, largest and the percentiles there are enough samples for.

    A percentile is given only where at least one sample lies beyond it; p50 always.
    """
    if not samples:
        return {"count": 0}
    ordered = sorted(samples)
    found: dict[str, float] = {
        "count": len(ordered),
        "mean": statistics.fmean(ordered),
        "max": ordered[-1],
    }
    for name, share in QUANTILES.items():
        if share == 0.5 or len(ordered) * (1 - share) >= 1:
            found[name] = percentile(ordered, share)
    return found


@dataclass(frozen=True, slots=True)
class Line:
    """A fitted line; ``per_x`` is its slope."""

    per_x: float
    at_zero: float


def fit(points: Sequence[tuple[float, float]]) -> Line:
    """Return the least-squares line through (x, y) points; flat when x does not move."""
    if not points:
        raise ValueError("no points")
    mean_x = statistics.fmean(x for x, _ in points)
    mean_y = statistics.fmean(y for _, y in points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = 0.0
    if spread:
        slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    return Line(slope, mean_y - slope * mean_x)


def histogram_quantile(buckets: Sequence[tuple[float, float]], share: float) -> float:
    """Return the quantile of cumulative (upper bound, count) buckets, linear within one.

    What lies beyond the last finite bound is answered with that bound: "at least".
    """
    total = buckets[-1][1] if buckets else 0.0
    if total <= 0:
        raise ValueError("an empty histogram")
    rank, low, below = share * total, 0.0, 0.0
    for bound, count in buckets:
        if count >= rank and count > below:
            if math.isinf(bound):
                return low
            return low + (bound - low) * (rank - below) / (count - below)
        low, below = bound, count
    return low


def parse_metrics(text: str) -> dict[str, float]:
    """Return name with labels -> value of a Prometheus page."""
    found = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match:
            found[match[1]] = float(match[2])
    return found


def delta(after: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """Return how far each value of ``after`` moved; what is new counts from zero."""
    return {name: value - before.get(name, 0.0) for name, value in after.items()}


def total(values: Mapping[str, float], name: str) -> float:
    """Return the sum of a metric over all its labels."""
    return sum(v for k, v in values.items() if k == name or k.startswith(name + "{"))


def buckets_of(values: Mapping[str, float], name: str) -> list[tuple[float, float]]:
    """Return a histogram's cumulative buckets, ascending; works on a ``delta`` too."""
    head = f'{name}_bucket{{le="'
    return sorted(
        (float(key[len(head) :].rstrip('"}')), value)
        for key, value in values.items()
        if key.startswith(head)
    )
