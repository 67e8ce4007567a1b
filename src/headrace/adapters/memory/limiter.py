"""Limits of this process alone, exact: a token bucket for each lease, a log of times for each kind of attempt.

Nothing here awaits, so a call is one step for all others. Memory is bounded: what is as good as new is forgotten, and
beyond `most` keys new ones share a few: a flood of names then limits them together, and never lets anyone through.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar
from zlib import crc32

from headrace.kit.attempt_log import AttemptLog, newest_of, seconds_until_room
from headrace.kit.token_bucket import DebtBucket
from headrace.ports.clock import Clock
from headrace.ports.limiter import Lease, Limit

MOST_KEYS = 100_000  # about 300 bytes each
_SHARED = 1_024
_LOOKED_AT = 4  # keys that a new one looks at, for some to forget: more than come in, so that they never pile up


class MemoryLimiter:
    """`most`: how many buckets, and how many logs."""

    def __init__(self, clock: Clock, *, most: int = MOST_KEYS) -> None:
        self._monotonic = clock.monotonic
        self._buckets: _Shelf[DebtBucket] = _Shelf(most)
        self._logs: _Shelf[AttemptLog] = _Shelf(most)

    async def lease(self, key: str, limit: Limit, want: int, owed: int = 0) -> Lease:
        now = self._monotonic()
        place, bucket = self._buckets.find(key, now)
        if bucket is None:
            bucket = DebtBucket(limit.count, now)
        tokens, retry_after = bucket.lease(now, limit.count, limit.seconds, want, owed)
        self._buckets.keep(place, bucket, bucket.full_at(limit.count, limit.seconds))
        return Lease(tokens, retry_after)

    async def attempt(self, key: str, limit: Limit) -> float:
        now = self._monotonic()
        place, log = self._logs.find(key, now)
        if log is None:
            log = deque()
        wait = seconds_until_room(log, limit.count, limit.seconds, now)
        if wait <= 0:
            log.append((now, key))
            self._logs.keep(place, log, now + limit.seconds)
        return wait

    async def peek(self, key: str, limit: Limit) -> float:
        now = self._monotonic()
        _, log = self._logs.find(key, now)
        return 0.0 if log is None else seconds_until_room(log, limit.count, limit.seconds, now)

    async def forgive(self, key: str, limit: Limit) -> None:
        place, log = self._logs.find(key, self._monotonic())
        if log is not None:
            self._rewrite(place, deque(entry for entry in log if entry[1] != key), limit)

    async def give_back(self, key: str, limit: Limit) -> None:
        place, log = self._logs.find(key, self._monotonic())
        if log is not None:
            newest = newest_of(log, key)
            if newest is not None:
                del log[newest]
                self._rewrite(place, log, limit)

    def _rewrite(self, place: str | int, log: AttemptLog, limit: Limit) -> None:
        if log:
            self._logs.keep(place, log, log[-1][0] + limit.seconds)
        else:
            self._logs.drop(place)


T = TypeVar("T")


class _Shelf(Generic[T]):
    """Things by key, each with the time from which on it may be forgotten. At most `most`, and the shared ones."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[str | int, tuple[T, float]] = {}

    def find(self, key: str, now: float) -> tuple[str | int, T | None]:
        """Where the thing of this key is kept, and the thing if it is there."""
        held = self._held.get(key)
        if held is not None:
            return key, held[0]
        self._tidy(now)
        place = crc32(key.encode()) % _SHARED
        shared = self._held.get(place)
        if shared is not None:  # even if there is room again: what was counted in it still counts
            return place, shared[0]
        return (key if len(self._held) < self._most else place), None

    def keep(self, place: str | int, thing: T, until: float) -> None:
        self._held[place] = (thing, until)

    def drop(self, place: str | int) -> None:
        self._held.pop(place, None)

    def _tidy(self, now: float) -> None:
        """Forget what may be forgotten of the first few; the others go to the end, to be looked at again in turn."""
        for _ in range(min(_LOOKED_AT, len(self._held))):
            place = next(iter(self._held))
            held = self._held.pop(place)
            if held[1] > now:
                self._held[place] = held
