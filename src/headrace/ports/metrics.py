"""The port that records metrics; their names are in `model/metric.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from headrace.model.metric import Metric


class Metrics(Protocol):
    def add(self, metric: Metric, amount: float = 1, *labels: str) -> None:
        """Count up a counter, or move a gauge by `amount`."""

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        """Set a gauge."""

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Put one value into a histogram."""

    def watch(self, gauge: Metric, read: Callable[[], float]) -> None:
        """Add what `read` says at each rendering to a gauge without labels: for what changes too often to be told."""

    def values(self, metric: Metric) -> Mapping[tuple[str, ...], float]:
        """What a counter or a gauge says now, by its labels. Raises ValueError for a histogram."""

    def render(self) -> tuple[str, bytes]:
        """(content type, everything in the Prometheus text format)."""
