"""Exports: everything that a filter finds, oldest first, as one streamed file.

Read by short pages that begin behind the last event of the page before, since a long read would hold the store's
space and a place among its readers. What is stored after the start is left out, so that every export ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from headrace.errors import ItemError, Malformed, Unavailable
from headrace.model.bucket import Bucket
from headrace.model.event import StoredEvent
from headrace.model.query import EventFilter, Position, Search
from headrace.model.view import View
from headrace.ports.events import Events
from headrace.ports.export_format import ExportFormat
from headrace.query.export_text import CsvFormat, NdjsonFormat

TEXT_FORMATS: Mapping[str, ExportFormat] = {"ndjson": NdjsonFormat(), "csv": CsvFormat()}

_FIRST_PAGE = 100
_MOST_ROWS = 2_000  # rows are made into events under the GIL: 5,000 kept the event loop waiting for 70 ms
_PAGE_BYTES = 4 * 1024 * 1024  # what a page should weigh: fewer rows where events are large
_SLICE = 100  # events between two turns of the event loop: 0.8 ms as CSV
_TRIES = 10


@dataclass(frozen=True, slots=True)
class ExportFile:
    """What to tell about the file, and its pieces. The first one is late where the store is busy."""

    content_type: str
    file_name: str
    chunks: AsyncIterator[bytes]


class Export:
    """Formats by the name with which clients ask for them."""

    def __init__(self, events: Events, formats: Mapping[str, ExportFormat]) -> None:
        self._events = events
        self._formats = formats

    def open(
        self, view: View, filter: EventFilter, format: str, count: Callable[[int], None] | None = None
    ) -> ExportFile:
        """Raises Malformed for an unknown format. A store that cannot answer raises with the first piece. `count` is
        told of events as they go into the file.

        Later on its pages are tried again for a while, and then the stream breaks off.
        """
        chosen = self._formats.get(format)
        if chosen is None:
            detail = f"{format[:64]!r} is not a format: write one of {', '.join(self._formats)}"
            raise Malformed(f"{detail}.", items=[ItemError("bad-format", detail, field="format")])
        chunks = self._chunks(view.bucket, view.narrow(filter), chosen, count or _uncounted)
        return ExportFile(chosen.content_type, f"headrace-{view.bucket.name}.{chosen.extension}", chunks)

    async def _chunks(
        self, bucket: Bucket, filter: EventFilter, format: ExportFormat, count: Callable[[int], None]
    ) -> AsyncIterator[bytes]:
        writer = format.begin(bucket.name)
        async for page in self._pages(bucket.id, filter):
            for start in range(0, len(page), _SLICE):
                part = page[start : start + _SLICE]
                count(len(part))
                if piece := await writer.write(part):
                    yield piece
                await asyncio.sleep(0)
        if piece := await writer.finish():
            yield piece

    async def _pages(self, bucket_id: int, filter: EventFilter) -> AsyncIterator[Sequence[StoredEvent]]:
        last_seq = await self._events.last_seq(bucket_id)
        newest = await self._events.latest(bucket_id, 1)
        if not newest:
            return
        end = newest[0].time + 1
        until = end if filter.until is None else min(end, filter.until)
        search = Search(bucket_id, replace(filter, until=until), "asc", _FIRST_PAGE)
        while True:
            page = await self._page(search)
            yield [event for event in page if event.seq <= last_seq]
            if len(page) < search.limit:
                return
            search = replace(search, limit=_next_limit(page), after=Position(page[-1].time, page[-1].id))

    async def _page(self, search: Search) -> Sequence[StoredEvent]:
        if search.after is None:  # nothing was sent yet: whoever asks can still be told
            return await self._events.search(search)
        for _ in range(_TRIES - 1):
            try:
                return await self._events.search(search)
            except Unavailable as exc:
                await asyncio.sleep(exc.retry_after)
        return await self._events.search(search)


def _uncounted(events: int) -> None: ...


def _next_limit(page: Sequence[StoredEvent]) -> int:
    """So many rows that they weigh about _PAGE_BYTES if they are like these, and not too many more than these."""
    size = sum(300 + len(event.message or "") + len(event.attributes or "") for event in page)
    return max(1, min(_MOST_ROWS, 4 * len(page), _PAGE_BYTES * len(page) // size))
