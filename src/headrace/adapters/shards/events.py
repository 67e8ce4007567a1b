"""Events over several stores. Each call goes to the store of its bucket: one that is away is so for those alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from headrace.adapters.shards.split import split
from headrace.errors import HeadraceError, PartlyStored, Unavailable, Unsupported
from headrace.model.bucket import BucketStats
from headrace.model.event import EventBatch, StoredEvent, Written
from headrace.model.query import EVERYTHING, EventFilter, FacetValue, GroupField, HistogramBar, Search
from headrace.ports.buckets import Buckets
from headrace.ports.clock import Clock
from headrace.ports.events import Events

_PATIENCE = 2.0  # seconds between two tries to open a store that was away at the start
_BELIEVED = 10.0  # seconds without news, after which a store that was away is given a chance


@dataclass(slots=True)
class Shard:
    """A store, opened when it is first needed: one that is away must not keep the others from starting."""

    number: int
    open: Callable[[], Awaitable[Events]]
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    events: Events | None = None
    failed_at: float = float("-inf")
    trouble: str | None = None

    def note(self, now: float, trouble: str | None) -> None:
        """How the last use of it went."""
        self.failed_at, self.trouble = now, trouble


class ShardedEvents:
    """Implements ports/events.py over others that do."""

    def __init__(self, shards: Sequence[Shard], buckets: Buckets, clock: Clock) -> None:
        self._shards = {shard.number: shard for shard in shards}
        self._buckets = buckets
        self._monotonic = clock.monotonic
        self._homes: dict[int, int] = {}  # bucket → shard: never changes

    async def open(self) -> None:
        """Open what can be reached; the others follow. Raises Unusable and NewerFormat."""
        for shard in self._shards.values():
            try:
                await self._events(shard)
            except Unavailable:
                continue

    async def write(self, batch: EventBatch) -> Written:
        parts = split(batch, await self._homes_of({bucket for _, bucket in batch.blocks}))
        results = await asyncio.gather(
            *(self._write(shard, part) for shard, part in parts.items()), return_exceptions=True
        )
        away: set[int] = set()
        reason = ""
        for part, result in zip(parts.values(), results, strict=True):
            if isinstance(result, Unavailable):
                away.update(bucket for _, bucket in part.blocks)
                reason = result.detail
            elif isinstance(result, BaseException):
                raise result
        written = [result for result in results if isinstance(result, Written)]
        if away:
            raise PartlyStored(reason, frozenset(away))
        if len(written) == 1:
            return written[0]
        stored = sum(one.stored for one in written)
        return Written(stored, 1 - stored)  # positions are of one store: there is none for all of these

    async def check(self, batch: EventBatch) -> None:
        for shard, part in split(batch, await self._homes_of({bucket for _, bucket in batch.blocks})).items():
            await (await self._events(self._shards[shard])).check(part)

    async def stored_blocks(self, block_ids: Iterable[int], bucket_id: int) -> frozenset[int]:
        return await (await self._of(bucket_id)).stored_blocks(block_ids, bucket_id)

    async def search(self, search: Search) -> Sequence[StoredEvent]:
        return await (await self._of(search.bucket_id)).search(search)

    async def get(self, bucket_id: int, event_id: int, filter: EventFilter = EVERYTHING) -> StoredEvent | None:
        return await (await self._of(bucket_id)).get(bucket_id, event_id, filter)

    async def histogram(
        self, bucket_id: int, filter: EventFilter, interval: int, by: GroupField | None
    ) -> Sequence[HistogramBar]:
        return await (await self._of(bucket_id)).histogram(bucket_id, filter, interval, by)

    async def time_range(self, bucket_id: int, filter: EventFilter) -> tuple[int, int] | None:
        return await (await self._of(bucket_id)).time_range(bucket_id, filter)

    async def facets(
        self, bucket_id: int, filter: EventFilter, fields: Sequence[str], limit: int
    ) -> dict[str, list[FacetValue]]:
        return await (await self._of(bucket_id)).facets(bucket_id, filter, fields, limit)

    async def after(
        self, bucket_id: int, filter: EventFilter, seq: int, limit: int
    ) -> tuple[Sequence[StoredEvent], int]:
        return await (await self._of(bucket_id)).after(bucket_id, filter, seq, limit)

    async def last_seq(self, bucket_id: int) -> int:
        return await (await self._of(bucket_id)).last_seq(bucket_id)

    async def latest(self, bucket_id: int, limit: int) -> Sequence[StoredEvent]:
        return await (await self._of(bucket_id)).latest(bucket_id, limit)

    async def bucket_stats(self, bucket_id: int) -> BucketStats:
        return await (await self._of(bucket_id)).bucket_stats(bucket_id)

    async def delete_before(self, bucket_id: int, time: int) -> int:
        return await (await self._of(bucket_id)).delete_before(bucket_id, time)

    async def delete_bucket(self, bucket_id: int) -> int:
        return await (await self._of(bucket_id)).delete_bucket(bucket_id)

    async def forget(self, blocks_before: int, ids_before: int) -> None:
        await self._everywhere(lambda events: events.forget(blocks_before, ids_before))

    async def size(self) -> tuple[int, int]:
        """Of those that can be reached; raises Unavailable when one cannot."""
        sizes: list[tuple[int, int]] = []

        async def add(events: Events) -> None:
            sizes.append(await events.size())

        await self._everywhere(add)
        return sum(events for events, _ in sizes), sum(size for _, size in sizes)

    def trouble(self, bucket_id: int) -> str | None:
        shard = self._shards.get(self._homes.get(bucket_id, 0))
        if shard is None or shard.trouble is None or self._monotonic() - shard.failed_at > _BELIEVED:
            return None
        return shard.trouble

    async def backup(self, directory: str) -> None:  # noqa: ARG002 - refused
        raise Unsupported("These events are on several servers: back them up with their own tools.")

    async def close(self) -> None:
        for shard in self._shards.values():
            if shard.events is not None:
                await shard.events.close()

    async def _write(self, number: int, part: EventBatch) -> Written:
        shard = self._shards[number]
        try:
            written = await (await self._events(shard)).write(part)
        except Unavailable as exc:
            shard.note(self._monotonic(), exc.detail)
            raise
        shard.trouble = None
        return written

    async def _everywhere(self, do: Callable[[Events], Awaitable[None]]) -> None:
        """On every shard, however the others fare. Raises what the last one raised that failed."""
        failure: HeadraceError | None = None
        for shard in self._shards.values():
            try:
                await do(await self._events(shard))
                shard.trouble = None
            except Unavailable as exc:
                failure = exc
                shard.note(self._monotonic(), exc.detail)
        if failure is not None:
            raise failure

    async def _of(self, bucket_id: int) -> Events:
        homes = await self._homes_of({bucket_id})
        return await self._events(self._shards[homes[bucket_id]])

    async def _homes_of(self, bucket_ids: set[int]) -> Mapping[int, int]:
        for bucket_id in bucket_ids - self._homes.keys():
            shard = await self._buckets.shard_of(bucket_id) or 0  # purged ones have no home: whatever comes is deleted
            if shard not in self._shards:
                raise Unavailable(f"no HEADRACE_EVENT_SHARD_URLS leads to shard {shard}, where this bucket is kept")
            self._homes[bucket_id] = shard
        return self._homes

    async def _events(self, shard: Shard) -> Events:
        if shard.events is None:
            async with shard.opening:
                if shard.events is None:
                    await self._open(shard)
        assert shard.events is not None
        return shard.events

    async def _open(self, shard: Shard) -> None:
        if self._monotonic() - shard.failed_at < _PATIENCE:
            raise Unavailable(f"shard {shard.number} cannot be reached: {shard.trouble}")
        try:
            shard.events = await shard.open()
        except Unavailable as exc:
            shard.note(self._monotonic(), exc.detail)
            raise
        shard.trouble = None
