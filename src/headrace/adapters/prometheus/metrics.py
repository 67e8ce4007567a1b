"""Metrics for Prometheus. The library renders and knows the process; counting is ours, at a third of its cost."""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from threading import Lock

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from headrace.adapters.prometheus import siblings
from headrace.adapters.prometheus.siblings import Histogram, Labels, Siblings, Snapshot
from headrace.model.metric import ALL, Kind, Metric

_PREFIX = "headrace_"
_BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: from a page out of memory to the longest a read may take."""

_BOUND_NAMES = (*map(str, _BOUNDS), "+Inf")
_CPU = "process_cpu_seconds"
_SUMMED = frozenset(("process_resident_memory_bytes", "process_virtual_memory_bytes", "process_open_fds"))

_Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


def _empty() -> Histogram:
    return Histogram([0] * (len(_BOUNDS) + 1), 0.0)  # the last one is beyond all bounds


class PrometheusMetrics(Collector):
    """Safe from any thread. Metrics without labels are there from the start, the others from their first value."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._watched: list[tuple[str, Callable[[], float]]] = []
        # Each value is in a list, which is found once and changed in place, with the moment when it was set behind it.
        self._values: dict[str, dict[Labels, list[float]]] = {}
        self._histograms: dict[str, dict[Labels, Histogram]] = {}
        for metric in ALL:
            if metric.kind is Kind.HISTOGRAM:
                self._histograms[metric.name] = {} if metric.labels else {(): _empty()}
            else:
                self._values[metric.name] = {} if metric.labels else {(): [0.0, 0.0]}
        self._siblings: Siblings | None = None
        self._cpu_before = 0.0
        self._registry = CollectorRegistry()
        PlatformCollector(registry=self._registry)
        self._process = ProcessCollector(registry=self._registry)
        self._gc = GCCollector(registry=self._registry)
        self._registry.register(self)

    def share(self, folder: Path, number: int) -> None:
        """From now on one of several processes whose figures are one. Goes on from what the last `number` counted."""
        self._siblings = Siblings(folder, number)
        self._registry.unregister(self._process)
        self._registry.unregister(self._gc)  # of one process among several, which nobody could tell apart
        left = self._siblings.left_behind()
        self._cpu_before = sum(value for _, value in left.counters.get(_CPU, ()))
        with self._lock:
            for name, values in left.counters.items():
                if name in self._values:
                    self._values[name].update({labels: [value, 0.0] for labels, value in values})
            for name, histograms in left.histograms.items():
                self._histograms[name].update(histograms)
        self._write_down()

    async def step(self) -> int:
        """Let the other processes know what was counted."""
        self._write_down()
        return 0

    def add(self, metric: Metric, amount: float = 1, *labels: str) -> None:
        values = self._values[metric.name]
        with self._lock:
            cell = values.get(labels)
            if cell is None:
                cell = values[_checked(metric, labels)] = [0.0, 0.0]
            cell[0] += amount

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        with self._lock:
            self._values[metric.name][_checked(metric, labels)] = [value, time.monotonic()]

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        histograms = self._histograms[metric.name]
        with self._lock:
            histogram = histograms.get(labels)
            if histogram is None:
                histogram = histograms[_checked(metric, labels)] = _empty()
            histogram.counts[bisect_left(_BOUNDS, value)] += 1
            histogram.sum += value

    def watch(self, gauge: Metric, read: Callable[[], float]) -> None:
        self._watched.append((gauge.name, read))

    def values(self, metric: Metric) -> dict[tuple[str, ...], float]:
        if metric.kind is Kind.HISTOGRAM:
            raise ValueError(f"{metric.name} is a histogram, which has no single value")
        merge = siblings.counters if metric.kind is Kind.COUNTER else siblings.gauges
        return merge([self._snapshot((metric,)), *self._others()], metric.name)

    def render(self) -> tuple[str, bytes]:
        return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self._registry)

    def collect(self) -> Iterator[_Family]:
        """For the registry: a copy of every value at this moment, of all processes."""
        own = self._write_down() if self._siblings else self._snapshot(ALL)
        snapshots = [own, *self._others()]
        for metric in ALL:
            yield _family(metric, snapshots)
        if self._siblings:
            yield from self._processes(snapshots)

    def _others(self) -> list[Snapshot]:
        return self._siblings.others() if self._siblings else []

    def _snapshot(self, metrics: Iterable[Metric]) -> Snapshot:
        made = Snapshot(os.getpid())
        for metric in metrics:
            with self._lock:
                if metric.kind is Kind.HISTOGRAM:
                    made.histograms[metric.name] = [
                        (labels, Histogram([*found.counts], found.sum))
                        for labels, found in self._histograms[metric.name].items()
                    ]
                elif metric.kind is Kind.COUNTER:
                    made.counters[metric.name] = [
                        (labels, value) for labels, (value, _) in self._values[metric.name].items()
                    ]
                else:
                    watched = sum(read() for name, read in self._watched if name == metric.name)
                    made.gauges[metric.name] = [
                        (labels, value + watched, set_at)
                        for labels, (value, set_at) in self._values[metric.name].items()
                    ]
        return made

    def _write_down(self) -> Snapshot:
        """With what the system says of this process."""
        assert self._siblings is not None
        snapshot = self._snapshot(ALL)
        for family in self._process.collect():
            (sample,) = family.samples
            if family.name == _CPU:
                snapshot.counters[_CPU] = [((), sample.value + self._cpu_before)]
            elif family.name in _SUMMED:
                snapshot.gauges[family.name] = [((), sample.value, 0.0)]
        self._siblings.write(snapshot)
        return snapshot

    def _processes(self, snapshots: Sequence[Snapshot]) -> Iterator[_Family]:
        """What is a sum, in the place of what the library says of one process."""
        for family in self._process.collect():
            if family.name == _CPU:
                total = siblings.counters(snapshots, _CPU)
                yield CounterMetricFamily(_CPU, family.documentation, value=total[()])
            elif family.name in _SUMMED:
                total = siblings.gauges(snapshots, family.name)
                yield GaugeMetricFamily(family.name, family.documentation, value=total[()])


def _family(metric: Metric, snapshots: Sequence[Snapshot]) -> _Family:
    name = _PREFIX + metric.name
    if metric.kind is Kind.HISTOGRAM:
        family = HistogramMetricFamily(name, metric.help, labels=metric.labels)
        for labels, histogram in siblings.histograms(snapshots, metric.name).items():
            counts = zip(_BOUND_NAMES, accumulate(histogram.counts), strict=True)
            family.add_metric(labels, list(counts), histogram.sum)
        return family
    if metric.kind is Kind.COUNTER:
        counter = CounterMetricFamily(name, metric.help, labels=metric.labels)
        for labels, value in siblings.counters(snapshots, metric.name).items():
            counter.add_metric(labels, value)
        return counter
    gauge = GaugeMetricFamily(name, metric.help, labels=metric.labels)
    for labels, value in siblings.gauges(snapshots, metric.name).items():
        gauge.add_metric(labels, value)
    return gauge


def _checked(metric: Metric, labels: Labels) -> Labels:
    if len(labels) != len(metric.labels):
        raise ValueError(f"{metric.name} has the labels {metric.labels}, not {labels}")
    return labels
