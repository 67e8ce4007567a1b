"""What happened to tasks, from their journal into the bucket `_tasks`, under the ids that it was written down with."""

from __future__ import annotations

import asyncio

from headrace.ingest.batcher import Batcher
from headrace.ingest.frame import Frame, encode_frame
from headrace.kit.ids import halves
from headrace.kit.wake import Wake
from headrace.model.task_journal import TASKS_BUCKET, Entry
from headrace.ports.buckets import Buckets
from headrace.ports.tasks import Tasks

_AT_ONCE = 200
_POLL_SECONDS = 5.0  # what another process wrote and did not forward before it died
_GATHER_SECONDS = 0.1  # one block for what comes close together


class TaskJournalForwarder:
    """`step()` forwards what waits. Killed between its two halves it forwards again, and the store keeps one."""

    def __init__(self, tasks: Tasks, buckets: Buckets, batcher: Batcher, wake: Wake) -> None:
        """`wake` is rung when something was written here."""
        self._tasks = tasks
        self._buckets = buckets
        self._batcher = batcher
        self._wake = wake
        self._bucket_id: int | None = None

    async def step(self) -> int:
        """How many entries are durable in the queue now. Raises Unavailable."""
        entries = await self._tasks.journal(_AT_ONCE)
        bucket_id = await self._bucket() if entries else None
        if bucket_id is None:
            if await self._wake.wait(_POLL_SECONDS):
                await asyncio.sleep(_GATHER_SECONDS)
            return 0
        frames = [_frame(bucket_id, entry) for entry in entries]
        commits = [self._batcher.submit(encode_frame(frame), frame.count, len(frame.lines)) for frame in frames]
        for result in await asyncio.gather(*commits, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
        await self._tasks.forwarded([entry.seq for entry in entries])
        if len(entries) < _AT_ONCE:
            await asyncio.sleep(_GATHER_SECONDS)
        return len(entries)

    async def _bucket(self) -> int | None:
        """It cannot be deleted, and so keeps its id."""
        if self._bucket_id is None and (bucket := await self._buckets.find(TASKS_BUCKET)) is not None:
            self._bucket_id = bucket.id
        return self._bucket_id


def _frame(bucket_id: int, entry: Entry) -> Frame:
    hi, lo = halves(entry.first_id)
    return Frame(bucket_id, entry.time, entry.count, entry.lines, hi, lo, chosen=True)
