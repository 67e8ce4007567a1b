"""Metrics for Prometheus. The library renders and knows the process; counting is ours, at a third of its cost."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate
from threading import Lock

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from headrace.model.metric import ALL, Kind, Metric

_PREFIX = "headrace_"
_BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: from a page out of memory to the longest a read may take."""

_Labels = tuple[str, ...]
_Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


class _Histogram:
    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(_BOUNDS) + 1)  # the last one is beyond all bounds
        self.sum = 0.0


class PrometheusMetrics(Collector):
    """Safe from any thread. Metrics without labels are there from the start, the others from their first value."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._watched: list[tuple[str, Callable[[], float]]] = []
        self._values: dict[str, dict[_Labels, list[float]]] = {}  # each in a list of one: found once, changed in place
        self._histograms: dict[str, dict[_Labels, _Histogram]] = {}
        for metric in ALL:
            if metric.kind is Kind.HISTOGRAM:
                self._histograms[metric.name] = {} if metric.labels else {(): _Histogram()}
            else:
                self._values[metric.name] = {} if metric.labels else {(): [0.0]}
        self._registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)
        self._registry.register(self)

    def add(self, metric: Metric, amount: float = 1, *labels: str) -> None:
        values = self._values[metric.name]
        with self._lock:
            cell = values.get(labels)
            if cell is None:
                cell = values[_checked(metric, labels)] = [0.0]
            cell[0] += amount

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        with self._lock:
            self._values[metric.name][_checked(metric, labels)] = [value]

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        histograms = self._histograms[metric.name]
        with self._lock:
            histogram = histograms.get(labels)
            if histogram is None:
                histogram = histograms[_checked(metric, labels)] = _Histogram()
            histogram.counts[bisect_left(_BOUNDS, value)] += 1
            histogram.sum += value

    def watch(self, gauge: Metric, read: Callable[[], float]) -> None:
        self._watched.append((gauge.name, read))

    def values(self, metric: Metric) -> dict[tuple[str, ...], float]:
        if metric.kind is Kind.HISTOGRAM:
            raise ValueError(f"{metric.name} is a histogram, which has no single value")
        with self._lock:
            found = {labels: cell[0] for labels, cell in self._values[metric.name].items()}
        watched = sum(read() for name, read in self._watched if name == metric.name)
        return {labels: value + watched for labels, value in found.items()}

    def render(self) -> tuple[str, bytes]:
        return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self._registry)

    def collect(self) -> Iterator[_Family]:
        """For the registry: a copy of every value at this moment."""
        for metric in ALL:
            with self._lock:
                family = self._histogram(metric) if metric.kind is Kind.HISTOGRAM else self._value(metric)
            yield family

    def _value(self, metric: Metric) -> _Family:
        kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
        family = kind(_PREFIX + metric.name, metric.help, labels=metric.labels)
        for labels, (value,) in self._values[metric.name].items():
            watched = sum(read() for name, read in self._watched if name == metric.name)
            family.add_metric(labels, value + watched)
        return family

    def _histogram(self, metric: Metric) -> _Family:
        family = HistogramMetricFamily(_PREFIX + metric.name, metric.help, labels=metric.labels)
        bounds = [*map(str, _BOUNDS), "+Inf"]
        for labels, histogram in self._histograms[metric.name].items():
            counts = zip(bounds, accumulate(histogram.counts), strict=True)
            family.add_metric(labels, list(counts), histogram.sum)
        return family


def _checked(metric: Metric, labels: _Labels) -> _Labels:
    if len(labels) != len(metric.labels):
        raise ValueError(f"{metric.name} has the labels {metric.labels}, not {labels}")
    return labels
