"""Busy queries in a relational database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from math import exp2, log2

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from headrace.adapters.sql.database import ControlDatabase
from headrace.adapters.sql.models import BucketRow, BusyQueryRow
from headrace.errors import Conflict

_TRIES = 3


class SqlBusyQueries:
    def __init__(self, database: ControlDatabase) -> None:
        self._database = database

    async def add(self, scores: Mapping[int, Mapping[str, float]], *, keep: int, floor: float) -> None:
        for attempt in range(1, _TRIES + 1):
            try:
                async with self._database.changing() as session:
                    for bucket_id, added in sorted(scores.items()):  # in one order: nobody waits in a ring
                        await _add(session, bucket_id, added, keep, floor)
            except Conflict:  # another process began one of these just now: this time it is found
                if attempt == _TRIES:
                    raise
            else:
                return

    async def top(self, bucket_id: int, floor: float) -> Sequence[str]:
        statement = (
            select(BusyQueryRow.query)
            .where(BusyQueryRow.bucket_id == bucket_id, BusyQueryRow.score >= floor)
            .order_by(BusyQueryRow.score.desc(), BusyQueryRow.digest)
        )
        async with self._database.reading() as session:
            return list(await session.scalars(statement))


async def _add(session: AsyncSession, bucket_id: int, added: Mapping[str, float], keep: int, floor: float) -> None:
    if await session.get(BucketRow, bucket_id, with_for_update={"read": True}) is None:
        return
    known = await session.scalars(
        select(BusyQueryRow).where(BusyQueryRow.bucket_id == bucket_id).order_by(BusyQueryRow.digest).with_for_update()
    )
    rows = {row.digest: row for row in known}
    for query, score in added.items():
        digest = blake2b(query.encode(), digest_size=16).hexdigest()
        if row := rows.get(digest):
            row.score = _sum(row.score, score)
        else:
            rows[digest] = BusyQueryRow(bucket_id=bucket_id, digest=digest, query=query, score=score)
    ranked = sorted(rows.values(), key=lambda row: (-row.score, row.digest))
    staying = [row for row in ranked[:keep] if row.score >= floor]
    session.add_all(staying)
    here = (BusyQueryRow.bucket_id == bucket_id, BusyQueryRow.digest.not_in([row.digest for row in staying]))
    await session.execute(delete(BusyQueryRow).where(*here))


def _sum(one: float, other: float) -> float:
    """The score of both together: log2(2^one + 2^other), which may be too large to be written out."""
    higher, lower = max(one, other), min(one, other)
    return higher + log2(1 + exp2(lower - higher))
