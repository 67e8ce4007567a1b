"""What every metrics adapter promises: what was counted is rendered, under the names of the one list."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from headrace.adapters.prometheus.metrics import PrometheusMetrics
from headrace.model.metric import ALL, EVENTS_ACCEPTED, QUERY_SECONDS, QUEUE_EVENTS, REQUESTS, TAILS, Kind
from headrace.ports.metrics import Metrics

MAKERS: dict[str, Callable[[], Metrics]] = {"prometheus": PrometheusMetrics}


@pytest.fixture(params=MAKERS)
def metrics(request: pytest.FixtureRequest) -> Metrics:
    return MAKERS[request.param]()


def values(metrics: Metrics) -> dict[str, float]:
    """Samples by their name and labels, as in the text."""
    families = text_string_to_metric_families(metrics.render()[1].decode())
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def test_counters_count(metrics: Metrics) -> None:
    metrics.add(EVENTS_ACCEPTED)
    metrics.add(EVENTS_ACCEPTED, 41)
    assert values(metrics)["headrace_events_accepted_total"] == 42


def test_a_watched_gauge_says_what_it_reads_now(metrics: Metrics) -> None:
    now = [2.0]
    metrics.add(TAILS, 3)
    metrics.watch(TAILS, lambda: now[0])
    now[0] = 4.0
    assert values(metrics)["headrace_tails"] == 7


def test_gauges_move_and_are_set(metrics: Metrics) -> None:
    metrics.add(TAILS, 3)
    metrics.add(TAILS, -1)
    metrics.set(QUEUE_EVENTS, 5)
    metrics.set(QUEUE_EVENTS, 4)
    assert (values(metrics)["headrace_tails"], values(metrics)["headrace_queue_events"]) == (2, 4)


def test_counters_and_gauges_can_be_read_by_their_labels(metrics: Metrics) -> None:
    metrics.add(EVENTS_ACCEPTED, 3)
    metrics.add(REQUESTS, 1, "/v1/x", "GET", "200")
    metrics.add(REQUESTS, 2, "/v1/x", "GET", "503")
    metrics.add(TAILS)
    metrics.watch(TAILS, lambda: 4.0)
    assert metrics.values(EVENTS_ACCEPTED) == {(): 3}
    assert metrics.values(REQUESTS) == {("/v1/x", "GET", "200"): 1, ("/v1/x", "GET", "503"): 2}
    assert metrics.values(TAILS) == {(): 5}


def test_what_was_read_does_not_change_any_more(metrics: Metrics) -> None:
    before = metrics.values(EVENTS_ACCEPTED)
    metrics.add(EVENTS_ACCEPTED)
    assert before == {(): 0}


def test_a_histogram_has_no_single_value(metrics: Metrics) -> None:
    with pytest.raises(ValueError, match="query_seconds"):
        metrics.values(QUERY_SECONDS)


def test_labels_are_counted_apart(metrics: Metrics) -> None:
    metrics.add(REQUESTS, 1, "/v1/x", "GET", "200")
    metrics.add(REQUESTS, 2, '/v1/"\\\n', "GET", "200")
    found = values(metrics)
    assert found["headrace_http_requests_total method=GET route=/v1/x status=200"] == 1
    assert found['headrace_http_requests_total method=GET route=/v1/"\\\n status=200'] == 2


def test_histograms_sum_up_and_sort_into_buckets_with_their_upper_bound_in(metrics: Metrics) -> None:
    for value in (0.0001, 0.01, 0.011, 400.0):
        metrics.observe(QUERY_SECONDS, value, "list")
    found = values(metrics)
    assert found["headrace_query_seconds_count query=list"] == 4
    assert found["headrace_query_seconds_sum query=list"] == pytest.approx(400.0211)
    bounds = ("0.0001", "0.01", "10.0", "+Inf")
    assert [found[f"headrace_query_seconds_bucket le={le} query=list"] for le in bounds] == [1, 2, 3, 4]


def test_every_metric_without_labels_is_there_from_the_start(metrics: Metrics) -> None:
    names = {name.split(" ")[0] for name in values(metrics)}
    suffix = {Kind.COUNTER: "_total", Kind.GAUGE: "", Kind.HISTOGRAM: "_count"}
    for metric in ALL:
        if not metric.labels:
            assert f"headrace_{metric.name}{suffix[metric.kind]}" in names


def test_the_process_is_measured_too(metrics: Metrics) -> None:
    assert values(metrics)["process_resident_memory_bytes"] > 0


def test_a_wrong_number_of_labels_is_an_error_where_it_happens(metrics: Metrics) -> None:
    with pytest.raises(ValueError, match="http_requests"):
        metrics.add(REQUESTS, 1, "/v1/x")


def test_no_count_is_lost_between_threads(metrics: Metrics) -> None:
    def count() -> None:
        for _ in range(10_000):
            metrics.add(EVENTS_ACCEPTED)
            metrics.observe(QUERY_SECONDS, 0.5, "get")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = values(metrics)
    assert (found["headrace_events_accepted_total"], found["headrace_query_seconds_count query=get"]) == (40_000,) * 2


def test_it_says_that_it_is_the_text_format(metrics: Metrics) -> None:
    assert metrics.render()[0].startswith("text/plain; version=0.0.4")
