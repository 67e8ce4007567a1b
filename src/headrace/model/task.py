"""The task: work that must be done, and what became of it. Times are µs since 1970, durations seconds unless said."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from headrace.model.bucket import UNSET, Unset

DEFAULT_QUEUE: Final = "default"
DEFAULT_PRIORITY: Final = 5
DEFAULT_ATTEMPTS: Final = 5
MAX_ARGS_BYTES: Final = 256 * 1024
MAX_RESULT_BYTES: Final = 1024 * 1024
MAX_LEASE_SECONDS: Final = 3_600.0
SEARCHED_CHARS: Final = 32 * 1024
"""Of the args, and of the result and the error: indexing a megabyte would take a second."""


class Status(StrEnum):
    """`failed`: a permanent error; `dead`: the attempts are used up; a task that waits for a retry is `scheduled`."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DEAD = "dead"
    CANCELLED = "cancelled"


UNFINISHED: Final = frozenset((Status.SCHEDULED, Status.QUEUED, Status.RUNNING))
FINISHED: Final = frozenset(Status) - UNFINISHED
RETRIABLE: Final = frozenset((Status.FAILED, Status.DEAD, Status.CANCELLED, Status.SCHEDULED))
"""What `retry` puts into the queue again, at once and with all attempts."""


class Retry(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """How long after its n-th attempt a task is tried again: `first · factor^(n-1)`, at most `longest` seconds, of
    which a random half is left out, so that tasks that failed together do not come back together."""

    first: float = 1.0
    factor: float = 2.0
    longest: float = 600.0


class NewTask(msgspec.Struct, frozen=True, gc=False):
    """A task to be added. `id` is a UUIDv7 as an integer, made at `created_at`."""

    id: int
    type: str
    owner: str
    """Of the user (or of the key that has none) who answers for it."""
    created_at: int
    args: bytes = b"{}"
    """The JSON object as the client sent it: digits and order survive."""
    queue: str = DEFAULT_QUEUE
    priority: int = DEFAULT_PRIORITY
    run_at: int | None = None
    """Not before; None or a time that has passed: at once."""
    max_attempts: int = DEFAULT_ATTEMPTS
    timeout: float | None = None
    """Seconds that one attempt may take; None: what its handler says."""
    retry: Retry | None = None
    """None: what its handler says."""
    idempotency_key: str | None = None
    """Of the owner's tasks one has it."""
    fingerprint: bytes = b""
    """Of the request that brought the key: another request with the same key is a mistake."""
    concurrency_key: str | None = None
    """Of the owner's tasks with this key at most one is running."""
    callback_url: str | None = None


class Task(msgspec.Struct, frozen=True, gc=False):
    """A task as it is now. `result` and `progress` are JSON; `lease` is the number of the newest claim."""

    id: int
    type: str
    owner: str
    created_at: int
    status: Status
    args: bytes
    queue: str
    priority: int
    attempt: int
    """Which attempt runs or ran last; 0 before the first."""
    max_attempts: int
    run_at: int | None = None
    timeout: float | None = None
    retry: Retry | None = None
    concurrency_key: str | None = None
    callback_url: str | None = None
    started_at: int | None = None
    finished_at: int | None = None
    result: bytes | None = None
    error: str | None = None
    progress: bytes | None = None
    cancelling: bool = False
    """Asked to stop while it is running."""
    lease: int = 0
    """The fencing number: each claim, of whichever task, has a higher one than every claim before."""
    leased_until: int | None = None


class Added(msgspec.Struct, frozen=True, gc=False):
    """What became of a NewTask. `id` is that of the first task with its idempotency key if there was one before (then
    `is_new` is False), and `fingerprint` that one's."""

    id: int
    is_new: bool
    fingerprint: bytes


class TaskFilter(msgspec.Struct, frozen=True, gc=False):
    """All parts must hold; within a part, any of its values. `since` and `until` are of `created_at`, `until`
    exclusive. `q`: each must occur, in any case, in the type, the args, the result or the error (in their first
    SEARCHED_CHARS); one of less than three characters may be looked for among the newest tasks alone."""

    owner: str | None = None
    statuses: tuple[Status, ...] = ()
    types: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    q: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None


class Wanted(msgspec.Struct, frozen=True, gc=False):
    """What a claim may get: at most `limit` tasks, to be held by `holder` for `seconds` unless the lease is renewed."""

    holder: str
    limit: int
    seconds: float
    queue: str | None = None
    """None: of any queue."""
    types: frozenset[str] | None = None
    """None: of any type. Empty: none."""
    owner: str | None = None
    """None: of any owner."""


class Ending(StrEnum):
    """How an attempt ended, as whoever ran it says."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """For good: another attempt would end alike."""
    RETRY = "retry"
    """It may go well another time: `scheduled` for `retry_at`, or `dead` when this was the last attempt."""
    CANCELLED = "cancelled"
    RELEASED = "released"
    """It did not happen: queued again, and the attempt does not count."""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """The end of one attempt, of the task `id` under the lease `lease`."""

    id: int
    lease: int
    ending: Ending
    result: bytes | None = None
    """JSON, at most MAX_RESULT_BYTES; only when it succeeded."""
    error: str | None = None
    retry_at: int | None = None


class Beat(msgspec.Struct, frozen=True, gc=False):
    """A sign of life of the task `id` under the lease `lease`, perhaps with its progress (JSON)."""

    id: int
    lease: int
    progress: bytes | None = None


class Heard(msgspec.Struct, frozen=True, gc=False):
    """Whether the lease still holds, until when, and whether the task is asked to stop."""

    id: int
    held: bool
    cancelling: bool = False
    leased_until: int | None = None


class Swept(msgspec.Struct, frozen=True, gc=False):
    """What a sweep found: `due` tasks were queued, `expired` leases ended, `ended` tasks were finished by that (dead or
    cancelled). `next_at`: when the next task falls due or the next lease ends, if any."""

    due: int = 0
    expired: int = 0
    ended: tuple[int, ...] = ()
    next_at: int | None = None
    more: bool = False
    """There was more to do than one sweep does."""


class TaskChanges(msgspec.Struct, frozen=True, gc=False):
    """What a change names; the rest stays."""

    args: bytes | Unset = UNSET
    priority: int | Unset = UNSET
    run_at: int | Unset | None = UNSET


class QueueChanges(msgspec.Struct, frozen=True, gc=False):
    """What a change names; None means no limit."""

    paused: bool | Unset = UNSET
    concurrency: int | Unset | None = UNSET
    rate_limit: float | Unset | None = UNSET


class TaskQueue(msgspec.Struct, frozen=True, gc=False):
    """A named queue of tasks: its settings, and (of one owner or of all) how many tasks wait and run.

    `concurrency`: tasks running at once; `rate_limit`: tasks begun a second. `oldest`: `created_at` of the oldest that
    is queued.
    """

    name: str
    paused: bool = False
    concurrency: int | None = None
    rate_limit: float | None = None
    queued: int = 0
    scheduled: int = 0
    running: int = 0
    oldest: int | None = None


class TaskCount(msgspec.Struct, frozen=True, gc=False):
    """How many tasks of a type there are in a status."""

    type: str
    status: Status
    count: int
