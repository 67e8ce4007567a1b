"""The live tail: a position in the store that moves on. The bus only says when to look, so nothing depends on its word.

A stream asks the store for what comes after its position: no gap and no duplicate, however it was woken, resumed or
slowed down. It is pulled by its reader, so a slow one holds up nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, TypeVar
from weakref import WeakSet, finalize

from headrace.errors import Overloaded, Unavailable
from headrace.model.event import StoredEvent
from headrace.model.metric import TAILS
from headrace.model.query import EventFilter
from headrace.model.view import View
from headrace.ports.bus import Bus, Stored
from headrace.ports.clock import Clock
from headrace.ports.events import Events
from headrace.ports.metrics import Metrics

T = TypeVar("T")

HEARTBEAT_SECONDS = 15.0
MOST_TAILS = 100

_PAGE = 200  # events of up to 256 KiB are in memory at once, for each tail
_PACE_SECONDS = 0.2  # between two questions of a tail that is up to date; the first one after a rest comes at once


@dataclass(frozen=True, slots=True)
class TailItem:
    """An event and its position, or (without an event) a sign of life with the position reached so far."""

    position: int
    event: StoredEvent | None


@dataclass(frozen=True, slots=True)
class TailPage:
    """Events in order of storing, and the position behind the last one looked at; without events, a sign of life.

    `more`: another page follows at once, so that whoever gathers need not show this one yet.
    """

    position: int
    events: Sequence[StoredEvent]
    more: bool = False


class Tail:
    """All live tails of this process; at most `most` at once."""

    def __init__(self, events: Events, bus: Bus, clock: Clock, metrics: Metrics, *, most: int = MOST_TAILS) -> None:
        self._events = events
        self._bus = bus
        self._clock = clock
        self._metrics = metrics
        self._most = most
        self._count = 0
        self._followers: WeakSet[_Follower] = WeakSet()
        self._stopped = asyncio.Event()

    def follow(self, view: View, filter: EventFilter, after: int | None = None) -> TailStream:
        """Every event stored after the position `after`, or from now on: from when the first item is asked for.

        The first item is a sign of life, and one follows every 15 s without an event. Raises Overloaded when there
        are too many tails, Unavailable after `stop`. A store that cannot answer for a while only delays the stream.
        """
        return Stream(self._follower(view, filter).items(after), partial(self._add, -1))

    def follow_pages(self, view: View, filter: EventFilter, after: int | None = None) -> TailPages:
        """The same by the page, as the store gives them: for whoever shows many at once."""
        return Stream(self._follower(view, filter).pages(after), partial(self._add, -1))

    async def position(self, view: View) -> int:
        """The newest position: who asks before a read can go on behind it without a gap. Raises Unavailable."""
        return await self._events.last_seq(view.bucket.id)

    async def stop(self) -> None:
        """End all streams, so that nobody waits for them: for good."""
        self._stopped.set()
        for follower in list(self._followers):
            follower.wake()
        await asyncio.sleep(0)

    def _follower(self, view: View, filter: EventFilter) -> _Follower:
        if self._stopped.is_set():
            raise Unavailable("The server is stopping; connect again, with Last-Event-ID, in a moment.")
        if self._count >= self._most:
            raise Overloaded(f"There are {self._count} live tails already; try again later.", retry_after=5)
        wanted = view.narrow(filter)
        follower = _Follower(self._events, self._bus, self._clock, self._stopped, view.bucket.id, wanted)
        self._followers.add(follower)
        self._add(1)
        return follower

    def _add(self, change: int) -> None:
        self._count += change
        self._metrics.add(TAILS, change)


class Stream(AsyncIterator[T]):
    """One tail, as its reader holds it. Closed by its end, by `aclose`, or by nobody holding it any more.

    It refers to the follower and never the other way round, so that a reader who just goes away frees it at once.
    """

    def __init__(self, items: AsyncGenerator[T, None], on_close: Callable[[], None]) -> None:
        self._items = items
        self._close = finalize(self, on_close)  # calls once, whatever comes first
        self._close.atexit = False

    async def __anext__(self) -> T:
        try:
            return await anext(self._items)
        except BaseException:
            self._close()
            raise

    async def aclose(self) -> None:
        self._close()
        await self._items.aclose()


TailStream: TypeAlias = Stream[TailItem]
TailPages: TypeAlias = Stream[TailPage]


class _Follower:
    """Moves a position through the store."""

    def __init__(
        self, events: Events, bus: Bus, clock: Clock, stopped: asyncio.Event, bucket_id: int, filter: EventFilter
    ) -> None:
        self._events = events
        self._bus = bus
        self._clock = clock
        self._stopped = stopped
        self._bucket_id = bucket_id
        self._filter = filter
        self._woken = asyncio.Event()
        self._newest = 0  # the newest position heard of

    def wake(self) -> None:
        self._woken.set()

    async def items(self, after: int | None) -> AsyncGenerator[TailItem, None]:
        async with aclosing(self.pages(after)) as pages:
            async for page in pages:
                for event in page.events:
                    if self._stopped.is_set():
                        return
                    yield TailItem(event.seq, event)
                if not page.events:
                    yield TailItem(page.position, None)

    async def pages(self, after: int | None) -> AsyncGenerator[TailPage, None]:
        async with self._bus.listen(self._on_stored):  # before the first question, or word could slip between
            position = await self._begin(after)
            yield TailPage(position, ())
            alive, promised = self._now(), False
            while not self._stopped.is_set():
                asked = self._now()
                self._woken.clear()
                events, reached = await self._ask(position)
                moved, position = reached > position, reached
                more = len(events) == _PAGE or (moved and position < self._newest)
                if events or promised or self._now() >= alive + HEARTBEAT_SECONDS:
                    yield TailPage(position, events, more)
                    alive, promised = self._now(), more
                if not more:
                    await self._wait(self._woken, alive + HEARTBEAT_SECONDS - self._now())
                    await self._wait(self._stopped, asked + _PACE_SECONDS - self._now())

    def _now(self) -> float:
        return self._clock.monotonic()

    def _on_stored(self, stored: Stored) -> None:
        if self._bucket_id in stored.bucket_ids:  # positions are of the shard that keeps these buckets
            self._newest = max(self._newest, stored.last_seq)
            self._woken.set()

    async def _begin(self, after: int | None) -> int:
        """Where to start. A position that the store has not reached (it is an older copy) counts as its newest."""
        last = await self._events.last_seq(self._bucket_id)
        self._newest = max(self._newest, last)
        return last if after is None else min(after, last)

    async def _ask(self, position: int) -> tuple[list[StoredEvent], int]:
        """What comes next; nothing, after a pause, when the store cannot say now."""
        try:
            events, reached = await self._events.after(self._bucket_id, self._filter, position, _PAGE)
        except Unavailable as exc:
            await self._wait(self._stopped, exc.retry_after)
            self._woken.set()
            return [], position
        return list(events), max(position, reached)

    async def _wait(self, event: asyncio.Event, seconds: float) -> None:
        """Until `event`, at most for so long."""
        if seconds <= 0 or event.is_set():
            return
        waiting = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._clock.sleep(seconds))]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
