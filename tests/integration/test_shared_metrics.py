"""Several processes whose figures are one."""

from __future__ import annotations

from pathlib import Path

from headrace.adapters.prometheus.metrics import PrometheusMetrics
from headrace.adapters.prometheus.siblings import Siblings, Snapshot
from headrace.model.metric import EVENTS_ACCEPTED, QUERY_SECONDS, QUEUE_EVENTS, TAILS

DEAD = 2**22 + 1  # above the largest process id of Linux


def shared(folder: Path, number: int) -> PrometheusMetrics:
    made = PrometheusMetrics()
    made.share(folder, number)
    return made


def line(metrics: PrometheusMetrics, name: str) -> float:
    found = [text for text in metrics.render()[1].decode().splitlines() if text.startswith(f"{name} ")]
    return float(found[0].split()[1])


async def test_counters_and_histograms_are_the_sum_of_all(tmp_path: Path) -> None:
    one, two = shared(tmp_path, 0), shared(tmp_path, 1)
    one.add(EVENTS_ACCEPTED, 3)
    two.add(EVENTS_ACCEPTED, 4)
    two.observe(QUERY_SECONDS, 0.5, "list")
    one.observe(QUERY_SECONDS, 0.5, "list")
    await two.step()
    assert line(one, "headrace_events_accepted_total") == 7
    assert one.values(EVENTS_ACCEPTED) == {(): 7}
    assert line(one, 'headrace_query_seconds_count{query="list"}') == 2


async def test_what_one_said_the_other_does_not_take_back(tmp_path: Path) -> None:
    one, two = shared(tmp_path, 0), shared(tmp_path, 1)
    one.add(EVENTS_ACCEPTED, 3)
    assert line(one, "headrace_events_accepted_total") == line(two, "headrace_events_accepted_total") == 3


async def test_a_successor_goes_on_from_what_was_counted(tmp_path: Path) -> None:
    first = shared(tmp_path, 0)
    first.add(EVENTS_ACCEPTED, 3)
    first.add(TAILS, 2)
    first.observe(QUERY_SECONDS, 0.5, "list")
    await first.step()
    second = shared(tmp_path, 0)
    second.add(EVENTS_ACCEPTED)
    assert line(second, "headrace_events_accepted_total") == 4
    assert line(second, "headrace_tails") == 0  # those ended with it
    assert line(second, 'headrace_query_seconds_count{query="list"}') == 1


async def test_what_is_open_in_a_dead_process_is_not_open(tmp_path: Path) -> None:
    Siblings(tmp_path, 1).write(Snapshot(DEAD, {"events_accepted": [((), 5.0)]}, {"tails": [((), 9.0, 0.0)]}))
    one = shared(tmp_path, 0)
    one.add(TAILS, 2)
    assert (line(one, "headrace_tails"), line(one, "headrace_events_accepted_total")) == (2, 5)


async def test_what_all_look_at_is_as_it_was_seen_last(tmp_path: Path) -> None:
    one, two = shared(tmp_path, 0), shared(tmp_path, 1)
    one.set(QUEUE_EVENTS, 100)
    two.set(QUEUE_EVENTS, 7)
    await one.step()
    await two.step()
    assert line(one, "headrace_queue_events") == 7


async def test_the_process_is_the_sum_of_all(tmp_path: Path) -> None:
    alone = line(PrometheusMetrics(), "process_resident_memory_bytes")
    one, two = shared(tmp_path, 0), shared(tmp_path, 1)
    await two.step()
    assert line(one, "process_resident_memory_bytes") > 1.5 * alone
    assert line(one, "process_cpu_seconds_total") > 0


async def test_a_file_that_cannot_be_read_counts_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "metrics-1.bin").write_bytes(b"\xc1 half of a")
    one = shared(tmp_path, 0)
    one.add(EVENTS_ACCEPTED)
    assert line(one, "headrace_events_accepted_total") == 1
