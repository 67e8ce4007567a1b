"""Schedules fire: each firing is one task, once, however many processes look, restart, or have their clock moved.

Two guards: a schedule moves on to its next firing in the transaction that adds the tasks, and only from where it was;
and each task has an idempotency key made of the schedule and the time of the firing.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence

from msgspec.structs import replace

from headrace.kit.ids import format_id
from headrace.kit.times import MINUTE, SECOND, format_time
from headrace.kit.wake import Wake
from headrace.model.schedule import CatchUp, Schedule
from headrace.model.task import NewTask
from headrace.ports.clock import Clock
from headrace.ports.schedules import Schedules
from headrace.tasks import cron
from headrace.tasks.wire import Flawed, Kinds, read

_log = logging.getLogger(__name__)

MOST_MISSED = 100
ON_TIME = MINUTE  # a firing this late was not missed: a restart takes as long
_AT_ONCE = 100
_LOOK_SECONDS = 5.0  # for what another process changed
_CENTURY = 36_525 * 86_400 * SECOND


class Firing:
    """`step` fires what is due, and waits for what is next."""

    def __init__(self, schedules: Schedules, kinds: Kinds, clock: Clock, wake: Wake) -> None:
        self._schedules = schedules
        self._kinds = kinds
        self._clock = clock
        self._wake = wake
        self._known: dict[int, int] = {}

    async def step(self) -> int:
        """How many tasks it made. Raises Unavailable."""
        now = self._clock.now()
        next_at = await self._schedules.next_at()
        if next_at is None or next_at > now:
            await self._wake.wait(self._pause(next_at))
            return 0
        made = 0
        for schedule in await self._schedules.due(now, _AT_ONCE):
            made += await self._fire(schedule, now)
        return made

    async def _fire(self, schedule: Schedule, now: int) -> int:
        times = times_to_make_up(schedule, now)
        next_at = cron.next_firing(schedule.cron, schedule.timezone, now)
        new = await self._schedules.fire(schedule, self._tasks(schedule, times, now), next_at, now)
        return 0 if new is None else len(new)

    def _tasks(self, schedule: Schedule, times: Sequence[int], now: int) -> Sequence[NewTask]:
        try:
            return [self._task(schedule, time, now) for time in times]
        except Flawed as exc:  # a handler changed what it takes: the schedule goes on, and says so
            _log.warning("schedule %s makes no task: %s", format_id(schedule.id), exc)
            return []

    def _task(self, schedule: Schedule, time: int, now: int) -> NewTask:
        key = f"schedule/{format_id(schedule.id)}/{format_time(time)}"
        task = read(schedule.task, schedule.owner, now, self._kinds, key)
        return replace(task, run_at=time + jitter_of(schedule, time)) if schedule.jitter else task

    def _pause(self, next_at: int | None) -> float:
        if next_at is None:
            return _LOOK_SECONDS
        return min(_LOOK_SECONDS, max(0.01, (next_at - self._clock.now()) / SECOND))


def times_to_make_up(schedule: Schedule, now: int) -> Sequence[int]:
    """The firings up to now, by what the schedule wants of those that were missed; the oldest first."""
    if schedule.next_at is None or schedule.next_at > now:
        return ()
    times = [schedule.next_at]
    for time in cron.firings(schedule.cron, schedule.timezone, max(schedule.next_at, now - _CENTURY)):
        if time > now:
            break
        times.append(time)
        del times[:-MOST_MISSED]
    if schedule.catch_up is CatchUp.ALL:
        return times
    newest = times[-1:]
    if schedule.catch_up is CatchUp.LAST:
        return newest
    return [time for time in newest if now - time <= ON_TIME]


def jitter_of(schedule: Schedule, time: int) -> int:
    """µs by which this firing comes later: random, but the same for whoever fires it."""
    seed = hashlib.blake2b(f"{schedule.id}/{time}".encode(), digest_size=8).digest()
    return round(int.from_bytes(seed) / 2**64 * schedule.jitter * SECOND)
