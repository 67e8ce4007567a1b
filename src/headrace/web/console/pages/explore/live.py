"""The live tail of Explore: rows as events are stored, by server-sent events, made by the macro of the list.

A page can show only so much: what comes faster is counted and named, with the times between which it lies, and never
left out in silence.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial

from fastapi import Request
from starlette.responses import Response, StreamingResponse

from headrace.errors import Malformed
from headrace.kit.token_bucket import DebtBucket
from headrace.model.event import StoredEvent
from headrace.query.tail import TailPage, TailPages
from headrace.web.answers import begun
from headrace.web.console.page import pages
from headrace.web.console.pages.explore.asked import asked
from headrace.web.console.pages.explore.rows import row_of
from headrace.web.console.pages.explore.state import State
from headrace.web.console.render import templates
from headrace.web.deps import Has, Readable, still_readable
from headrace.web.reading import STREAM_HEADERS, tail_after

routes = pages("Explore")

GATHERED_SECONDS = 0.2
MOST_AT_ONCE = 1_000  # rows: a burst of so many is shown whole
MOST_PER_SECOND = 500  # rows: 6 % of a core here to make them, and more than anybody can read
_SLICE = 50  # rows between two turns of the loop: 6 ms
_RECONNECT_MS = 1_000

Monotonic = Callable[[], float]


@dataclass(slots=True)
class Batch:
    """What is shown at once: the newest `events`, in order of storing. `left_out` came before them and were too many;
    they lie in [since, until) (µs)."""

    position: int
    events: deque[StoredEvent] = field(default_factory=lambda: deque(maxlen=MOST_AT_ONCE))
    left_out: int = 0
    since: int = 0
    until: int = 0

    def add(self, page: TailPage) -> None:
        self.position = page.position
        for event in page.events:
            if len(self.events) == MOST_AT_ONCE:
                self._leave_out(self.events[0])
            self.events.append(event)

    def cut(self, most: int) -> None:
        """Show `most` at most."""
        while len(self.events) > most:
            self._leave_out(self.events.popleft())

    def _leave_out(self, event: StoredEvent) -> None:
        self.since = min(self.since, event.time) if self.left_out else event.time
        self.until = max(self.until, event.time + 1)
        self.left_out += 1


@routes.get("/explore/{bucket}/live", response_class=StreamingResponse)
async def live(request: Request, view: Readable, services: Has) -> Response:
    """What matches from now on, or behind the position in `Last-Event-ID`."""
    found = asked(request, services)
    if found.problems:
        raise Malformed("This filter cannot be read.", items=found.problems)
    followed = services.tail.follow_pages(view, found.filter, tail_after(request))
    batches = _batches(followed, services.clock.monotonic, partial(still_readable, request, view))
    stream = await begun(_as_sse(batches, found.state))
    return StreamingResponse(stream, media_type="text/event-stream", headers=STREAM_HEADERS)


async def _batches(
    followed: TailPages, monotonic: Monotonic, readable: Callable[[], Awaitable[bool]]
) -> AsyncGenerator[Batch, None]:
    """At most one every 200 ms while there is more. Ends as soon as it is no longer `readable`."""
    allowed = DebtBucket(MOST_AT_ONCE, monotonic())
    batch, began = None, 0.0
    try:
        async for page in followed:
            if batch is None:
                batch, began = Batch(page.position), monotonic()
            batch.add(page)
            now = monotonic()
            if page.more and now < began + GATHERED_SECONDS:
                continue
            if not await readable():
                return
            if batch.events:
                seconds = MOST_AT_ONCE / MOST_PER_SECOND
                batch.cut(allowed.lease(now, MOST_AT_ONCE, seconds, len(batch.events))[0])
            yield batch
            batch = None
    finally:
        await followed.aclose()


async def _as_sse(batches: AsyncGenerator[Batch, None], state: State) -> AsyncIterator[bytes]:
    retry = b"retry: %d\n" % _RECONNECT_MS
    async with aclosing(batches):
        async for batch in batches:
            if batch.events or batch.left_out:
                html = (await _rows(batch, state)).encode("utf-8", "replace")
                data = b"".join(b"data: %s\n" % line for line in html.splitlines() if line)
                yield b"id: %d\nevent: rows\n%s\n" % (batch.position, data)
            else:
                yield b": alive\n%sid: %d\n\n" % (retry, batch.position)
                retry = b""


async def _rows(batch: Batch, state: State) -> str:
    """The newest first, as the list has them, and behind them how many are left out."""
    template = templates().get_template("explore/_live_rows.html")
    newest_first = list(reversed(batch.events))
    parts = []
    for start in range(0, len(newest_first), _SLICE):
        rows = [row_of(event, state) for event in newest_first[start : start + _SLICE]]
        parts.append(template.render(rows=rows, columns=state.columns, batch=None))
        await asyncio.sleep(0)
    if batch.left_out:
        parts.append(template.render(rows=(), columns=(), batch=batch))
    return "".join(parts)
