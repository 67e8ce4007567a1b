"""Which reads come often: counted as they are asked, kept beyond a restart, and run beforehand (query/warming).

Only what the store answered counts, on its first page. A read with `since` alone is the same one tomorrow, when its
time has moved on with the clock; one with `until` is of that time for good. What is kept is a filter, with whatever
names and words somebody looked for, and goes within days when nobody asks for it again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import log2
from typing import Literal

import msgspec

from headrace.kit.times import DAY, MINUTE
from headrace.model.query import EventFilter, GroupField, Order
from headrace.ports.busy_queries import MOST_TEXT, BusyQueries
from headrace.ports.clock import Clock

KEPT = 8
"""Of a bucket. Explore and a dashboard of some panels ask for about as many."""
_HALF_LIFE = 2 * DAY  # so that what is busy on working days is still known on Monday
_FORGOTTEN = 0.25  # of a read, decayed: what came once goes after four days
_BUSY = 3.0  # reads, decayed, from which on it is worth to be run
_COUNTED = 2_000  # different reads between two writes; more are strangers to each other

Kind = Literal["list", "histogram", "facets"]


class BusyQuery(msgspec.Struct, frozen=True, omit_defaults=True):
    """A read as it can be asked again: with `age`, its `since` is so long (µs) before it is asked."""

    kind: Kind
    filter: EventFilter
    age: int | None = None
    order: Order = "desc"
    limit: int = 0
    interval: str = ""
    by: GroupField | None = None
    fields: tuple[str, ...] = ()

    def filter_at(self, now: int) -> EventFilter:
        """What it asks for now."""
        return self.filter if self.age is None else replace(self.filter, since=now - self.age)


_Key = tuple[int, bytes]
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(BusyQuery).decode


class Busy:
    """`note` is part of a read, and costs 6 µs where the store takes 1,000 at least. `flush` writes now and then, and
    only if there was a read."""

    def __init__(self, kept: BusyQueries, clock: Clock) -> None:
        self._kept = kept
        self._clock = clock
        self._counts: Counter[_Key] = Counter()

    def note(self, bucket_id: int, query: BusyQuery) -> None:
        """It was asked just now, with its `since` as a time."""
        moving = _moving(query, self._clock.now())
        if moving is None:
            return
        key = (bucket_id, _encode(moving))  # its text has a hash sooner than its parts have
        if len(self._counts) >= _COUNTED and key not in self._counts:
            self._thin_out()
        self._counts[key] += 1

    async def flush(self) -> int:
        """Keep what was counted; of how many buckets. Raises Unavailable: then it is counted still."""
        if not self._counts:
            return 0
        counts, self._counts = self._counts, Counter()
        now, scores = self._clock.now(), _scores(counts, self._clock.now())
        try:
            await self._kept.add(scores, keep=KEPT, floor=_score(_FORGOTTEN, now))
        except Exception:
            self._counts.update(counts)
            raise
        return len(scores)

    async def top(self, bucket_id: int) -> list[BusyQuery]:
        """The busiest first. Raises Unavailable."""
        texts = await self._kept.top(bucket_id, _score(_BUSY, self._clock.now()))
        return [query for text in texts if (query := _read(text)) is not None]

    def _thin_out(self) -> None:
        """Half of each; what came once goes. If all came more often than that, nothing new is counted until then."""
        self._counts = Counter({key: count // 2 for key, count in self._counts.items() if count > 1})


def _moving(query: BusyQuery, now: int) -> BusyQuery | None:
    """The same read at any time; None where it is of no use later."""
    wanted = replace(query.filter, read_after=0) if query.filter.read_after else query.filter
    if wanted.within is not None and wanted.within.times() != (None, None):
        return None  # a viewer token's own age has become a time, another one for each request
    if wanted.since is None or wanted.until is not None:
        return query if wanted is query.filter else msgspec.structs.replace(query, filter=wanted)
    age = (now - wanted.since + MINUTE // 2) // MINUTE * MINUTE  # it was parsed some ms ago
    if age <= 0:
        return None
    return msgspec.structs.replace(query, filter=replace(wanted, since=None), age=age)


def _scores(counts: Counter[_Key], now: int) -> dict[int, dict[str, float]]:
    """Of each bucket the busiest, as texts."""
    scores: dict[int, dict[str, float]] = {}
    for (bucket_id, query), count in counts.most_common():
        of_bucket = scores.setdefault(bucket_id, {})
        if len(of_bucket) < KEPT and len(query) <= MOST_TEXT:
            of_bucket[query.decode()] = _score(count, now)
    return scores


def _score(count: float, now: int) -> float:
    """See ports/busy_queries."""
    return log2(count) + now / _HALF_LIFE


def _read(text: str) -> BusyQuery | None:
    """None: kept by another version of this program."""
    try:
        return _decode(text)
    except msgspec.MsgspecError:
        return None
