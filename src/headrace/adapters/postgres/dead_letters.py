"""Dead letters in a table beside the queue's. Few and seldom; read by administrators, over connections of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from headrace.adapters.postgres._queue_tables import LAYOUT, WAITS_FOR_DISK
from headrace.adapters.postgres.database import BreakerOptions, Database
from headrace.adapters.postgres.faults import writing
from headrace.adapters.postgres.layout import prepare
from headrace.model.block import DeadLetter
from headrace.ports.clock import Clock

CONNECTIONS = 2
_SECONDS = 10.0

_ADD = f"""
    INSERT INTO dead_letters (id, bucket_id, reason, received_at, payload)
    SELECT * FROM unnest(%(ids)s::uuid[], %(buckets)s::bigint[], %(reasons)s::text[], %(times)s::bigint[],
        %(payloads)s::bytea[])
    WHERE {WAITS_FOR_DISK}
    ON CONFLICT DO NOTHING
"""  # noqa: S608 - our own text
_LIST = """
    SELECT id, bucket_id, reason, received_at, payload FROM dead_letters
    WHERE (%(bucket)s::bigint IS NULL OR bucket_id = %(bucket)s)
        AND (%(since)s::bigint IS NULL OR received_at >= %(since)s)
        AND (%(after)s::uuid IS NULL OR id < %(after)s)
    ORDER BY id DESC LIMIT %(limit)s
"""
_TAKE_SINCE = """
    SELECT id, bucket_id, reason, received_at, payload FROM dead_letters
    WHERE received_at >= %(since)s ORDER BY received_at, id LIMIT %(limit)s
"""
_TAKE = "SELECT id, bucket_id, reason, received_at, payload FROM dead_letters WHERE id = ANY (%(ids)s)"
_REMOVE = f"DELETE FROM dead_letters WHERE id = ANY (%(ids)s) AND {WAITS_FOR_DISK}"  # noqa: S608 - our own text
_COUNT = "SELECT count(*) FROM dead_letters"


class PostgresDeadLetters:
    """`ports.dead_letters.DeadLetters`. Raises Unavailable; everything here can be repeated."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    async def open(
        cls, url: str, clock: Clock, *, options: BreakerOptions | None = None, migrate: bool = True
    ) -> PostgresDeadLetters:
        """In the queue's database. Raises Unusable, NewerFormat or Unavailable."""
        database = Database(url, clock, name="the dead letters' database", size=CONNECTIONS, options=options)
        await database.open()
        try:
            await prepare(database, LAYOUT, migrate=migrate)
        except BaseException:
            await database.close()
            raise
        return cls(database)

    async def add(self, letters: Sequence[DeadLetter]) -> None:
        """See the port."""
        if letters:
            values = {
                "ids": [UUID(int=one.id) for one in letters],
                "buckets": [one.bucket_id for one in letters],
                "reasons": [_text(one.reason) for one in letters],
                "times": [one.received_at for one in letters],
                "payloads": [one.payload for one in letters],
            }
            await self._run(_ADD, values)

    async def list(
        self, *, bucket_id: int | None = None, since: int | None = None, after: int | None = None, limit: int = 100
    ) -> Sequence[DeadLetter]:
        """See the port."""
        position = None if after is None else UUID(int=after)
        return await self._letters(_LIST, {"bucket": bucket_id, "since": since, "after": position, "limit": limit})

    async def take(self, ids: Sequence[int] | None, since: int | None, limit: int) -> Sequence[DeadLetter]:
        """See the port."""
        if ids is None:
            return await self._letters(_TAKE_SINCE, {"since": since or 0, "limit": limit})
        wanted = dict.fromkeys(ids)
        found = {one.id: one for one in await self._letters(_TAKE, {"ids": [UUID(int=one) for one in wanted]})}
        return [found[one] for one in wanted if one in found][:limit]

    async def remove(self, ids: Sequence[int]) -> None:
        """See the port."""
        await self._run(_REMOVE, {"ids": [UUID(int=one) for one in ids]})

    async def count(self) -> int:
        """See the port."""
        return int((await self._run(_COUNT, {}))[0][0])

    async def close(self) -> None:
        """Let go of the connections."""
        await self._database.close()

    async def _letters(self, statement: str, values: Mapping[str, Any]) -> Sequence[DeadLetter]:
        return [
            DeadLetter(letter_id.int, bucket_id, reason, received_at, payload)
            for letter_id, bucket_id, reason, received_at, payload in await self._run(statement, values)
        ]

    async def _run(self, statement: str, values: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
        with self._database.breaker.watch(), writing(self._database.name):
            async with self._database.connection(_SECONDS) as connection:
                cursor = await connection.execute(statement, values, binary=True)
                return await cursor.fetchall() if cursor.description else ()


def _text(reason: str) -> str:
    """What PostgreSQL can keep as text: a reason may quote what it is about."""
    return reason.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
