"""The schedule: a task that is made again and again at times that a cron expression says."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from headrace.model.bucket import UNSET, Unset


class CatchUp(StrEnum):
    """What becomes of firings that were missed while nothing ran."""

    NONE = "none"
    """They are left out."""
    LAST = "last"
    """The newest of them is made up for, once."""
    ALL = "all"
    """Each is made up for, up to 100 of them."""


class Schedule(msgspec.Struct, frozen=True, gc=False):
    """`task` is the body of `POST /v1/tasks` as JSON. `cron` has five fields, in the time zone `timezone` (IANA).

    `jitter`: each firing comes up to so many seconds later, by a random time that is fixed for each firing. Times are
    µs since 1970. `next_at` is the firing's own time, without jitter.
    """

    id: int
    name: str
    owner: str
    cron: str
    timezone: str
    task: bytes
    created_at: int
    jitter: float = 0.0
    catch_up: CatchUp = CatchUp.LAST
    enabled: bool = True
    next_at: int | None = None
    last_at: int | None = None
    last_task: int | None = None


class ScheduleChanges(msgspec.Struct, frozen=True, gc=False):
    """What a change names; the rest stays. A change of `cron`, `timezone` or `enabled` brings a new `next_at`."""

    name: str | Unset = UNSET
    cron: str | Unset = UNSET
    timezone: str | Unset = UNSET
    task: bytes | Unset = UNSET
    jitter: float | Unset = UNSET
    catch_up: CatchUp | Unset = UNSET
    enabled: bool | Unset = UNSET
    next_at: int | Unset | None = UNSET
