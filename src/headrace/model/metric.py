"""Every metric by name, with a line that says what it counts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """`name` without the `headrace_` prefix; counters get `_total`. Durations are in seconds."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


REQUESTS = Metric("http_requests", Kind.COUNTER, "Requests answered, by route, method and status.", ("route", "method", "status"))
REQUEST_SECONDS = Metric("http_request_seconds", Kind.HISTOGRAM, "Time from the request's head to the end of its answer.", ("route",))
REQUESTS_IN_FLIGHT = Metric("http_requests_in_flight", Kind.GAUGE, "Requests being answered now.")
EVENTS_ACCEPTED = Metric("events_accepted", Kind.COUNTER, "Events made durable and acknowledged.")
EVENTS_REJECTED = Metric("events_rejected", Kind.COUNTER, "Events refused one by one for what they hold.")
BYTES_ACCEPTED = Metric("bytes_accepted", Kind.COUNTER, "Bytes of acknowledged events, as JSON.")
QUEUE_COMMITS = Metric("queue_commits", Kind.COUNTER, "Group commits to the queue.")
QUEUE_COMMIT_SECONDS = Metric("queue_commit_seconds", Kind.HISTOGRAM, "Time of one group commit, fsync included.")
QUEUE_ERRORS = Metric("queue_errors", Kind.COUNTER, "Group commits that failed.")
QUEUE_EVENTS = Metric("queue_events", Kind.GAUGE, "Acknowledged events that cannot be queried yet.")
QUEUE_BYTES = Metric("queue_bytes", Kind.GAUGE, "Bytes that wait in the queue.")
QUEUE_OLDEST_SECONDS = Metric("queue_oldest_seconds", Kind.GAUGE, "Age of the oldest block in the queue.")
SPOOL_EVENTS = Metric("spool_events", Kind.GAUGE, "Acknowledged events that wait on this machine for the queue to be back.")
SPOOL_BYTES = Metric("spool_bytes", Kind.GAUGE, "Bytes that wait on this machine for the queue to be back.")
DRAIN_EVENTS = Metric("drain_events", Kind.COUNTER, "Events written to the store.")
DRAIN_DUPLICATES = Metric("drain_duplicates", Kind.COUNTER, "Events left out because they were stored before.")
DRAIN_SECONDS = Metric("drain_seconds", Kind.HISTOGRAM, "Time of one step of the drain.")
DRAIN_LAG_SECONDS = Metric("drain_lag_seconds", Kind.GAUGE, "How long the oldest block of the last batch had waited, from its commit until it could be queried.")
DRAIN_ERRORS = Metric("drain_errors", Kind.COUNTER, "Steps of the drain that failed and were put back.")
DEAD_LETTERS = Metric("dead_letters", Kind.COUNTER, "Frames that went to the dead letters.")
STORE_EVENTS = Metric("store_events", Kind.GAUGE, "Events in the store.")
STORE_BYTES = Metric("store_bytes", Kind.GAUGE, "Bytes of the store on disk.")
QUERY_SECONDS = Metric("query_seconds", Kind.HISTOGRAM, "Time of a read, by what it asked for.", ("query",))
RECENT_LOOKUPS = Metric("recent_lookups", Kind.COUNTER, "Questions to the recent-events cache, by hit or miss.", ("result",))
TAILS = Metric("tails", Kind.GAUGE, "Open live tails.")
RETENTION_DELETED = Metric("retention_deleted", Kind.COUNTER, "Events deleted because their retention had passed.")
MAILS_SENT = Metric("mails_sent", Kind.COUNTER, "Mails by what became of them: sent, failed, refused when too many waited, lost at the end.", ("result",))
TASKS_SUBMITTED = Metric("tasks_submitted", Kind.COUNTER, "Tasks made durable and acknowledged.")
TASKS_CLAIMED = Metric("tasks_claimed", Kind.COUNTER, "Tasks given out under a lease, to our own runner or over HTTP.", ("to",))
TASKS_FINISHED = Metric("tasks_finished", Kind.COUNTER, "Attempts that ended, by the status that the task came into.", ("status",))
TASK_WAIT_SECONDS = Metric("task_wait_seconds", Kind.HISTOGRAM, "Time from when a task could run until our runner began it.")
TASKS_RUNNING = Metric("tasks_running", Kind.GAUGE, "Tasks that our runner runs now.")
TASKS_QUEUED = Metric("tasks_queued", Kind.GAUGE, "Tasks that could run now.")
TASKS_OLDEST_SECONDS = Metric("tasks_oldest_seconds", Kind.GAUGE, "Age of the oldest of them.")
TASK_LEASES_LOST = Metric("task_leases_lost", Kind.COUNTER, "Attempts whose lease ran out before they ended.")

ALL: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
