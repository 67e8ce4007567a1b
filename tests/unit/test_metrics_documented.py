"""Every metric is in the reference, under the name that /metrics has for it."""

from __future__ import annotations

from headrace.adapters.prometheus.metrics import PrometheusMetrics
from headrace.model.metric import ALL
from tools import document_metrics


def test_the_reference_is_what_the_list_of_metrics_is() -> None:
    remedy = "run .venv/bin/python tools/document_metrics.py"
    assert document_metrics.PAGE.read_text() == document_metrics.metrics_page(), remedy


def test_the_names_in_the_reference_are_those_that_a_scrape_sees() -> None:
    metrics = PrometheusMetrics()
    for metric in ALL:
        record = metrics.observe if metric.kind.value == "histogram" else metrics.add
        record(metric, 1, *metric.labels)
    scraped = metrics.render()[1].decode()
    missing = [name for name in map(document_metrics.exposed_name, ALL) if f"\n{name}" not in scraped]
    assert missing == []
