"""Latencies in short, and from a histogram of counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Latency:
    """In ms."""

    count: int
    p50: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latency:
        """Raises ValueError for none."""
        if not seconds:
            raise ValueError("nothing was measured")
        ordered = sorted(seconds)
        return cls(len(ordered), 1_000 * at(ordered, 0.5), 1_000 * at(ordered, 0.99))


def at(ordered: Sequence[float], share: float) -> float:
    """The value below which this share of `ordered` lies."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def from_histogram(counts: Sequence[tuple[float, float]], share: float) -> float:
    """The same from Prometheus' cumulative (bound, count) pairs, in order of bound; linear inside a step."""
    wanted = share * counts[-1][1]
    lower, below = 0.0, 0.0
    for bound, count in counts:
        if count >= wanted:
            return lower + (bound - lower) * (wanted - below) / (count - below) if count > below else lower
        lower, below = bound, count
    return lower
