"""The port that records metrics; their names are in `model/metric.py`."""

from __future__ import annotations

from typing import Protocol

from headrace.model.metric import (
    ALL as ALL,
    BYTES_ACCEPTED as BYTES_ACCEPTED,
    DEAD_LETTERS as DEAD_LETTERS,
    DRAIN_DUPLICATES as DRAIN_DUPLICATES,
    DRAIN_ERRORS as DRAIN_ERRORS,
    DRAIN_EVENTS as DRAIN_EVENTS,
    DRAIN_SECONDS as DRAIN_SECONDS,
    EVENTS_ACCEPTED as EVENTS_ACCEPTED,
    EVENTS_REJECTED as EVENTS_REJECTED,
    Kind as Kind,
    Metric as Metric,
    QUERY_SECONDS as QUERY_SECONDS,
    QUEUE_BYTES as QUEUE_BYTES,
    QUEUE_COMMITS as QUEUE_COMMITS,
    QUEUE_COMMIT_SECONDS as QUEUE_COMMIT_SECONDS,
    QUEUE_ERRORS as QUEUE_ERRORS,
    QUEUE_EVENTS as QUEUE_EVENTS,
    QUEUE_OLDEST_SECONDS as QUEUE_OLDEST_SECONDS,
    RECENT_LOOKUPS as RECENT_LOOKUPS,
    REQUESTS as REQUESTS,
    REQUESTS_IN_FLIGHT as REQUESTS_IN_FLIGHT,
    REQUEST_SECONDS as REQUEST_SECONDS,
    RETENTION_DELETED as RETENTION_DELETED,
    STORE_BYTES as STORE_BYTES,
    STORE_EVENTS as STORE_EVENTS,
    TAILS as TAILS,
)


class Metrics(Protocol):
    def add(self, metric: Metric, amount: float = 1, *labels: str) -> None:
        """Count up a counter, or move a gauge by `amount`."""

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        """Set a gauge."""

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Put one value into a histogram."""

    def render(self) -> tuple[str, bytes]:
        """(content type, everything in the Prometheus text format)."""
