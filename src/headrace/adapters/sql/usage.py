"""The ledger of what was sent, in a relational database."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, delete, func, null, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from headrace.adapters.sql.database import ControlDatabase
from headrace.adapters.sql.models import ApiKeyRow, BucketRow, UsageRow, UserRow
from headrace.errors import Conflict
from headrace.model.account import Usage, UsageLine
from headrace.model.principal import API_KEY, USER
from headrace.ports.usage import UsageBy

_AT_ONCE = 500  # credentials looked up by one statement: an engine may take no more than 999 parameters
_TRIES = 5

_Key = tuple[int, int, str, str]
_Spent = tuple[int, int]


class SqlUsage:
    def __init__(self, database: ControlDatabase) -> None:
        self._database = database

    async def add(self, spent: Sequence[Usage]) -> None:
        parts = _parts(_merged(spent))
        for attempt in range(1, _TRIES + 1):
            try:
                async with self._database.changing() as session:
                    for (day, bucket_id, kind), lines in parts:
                        await _add(session, day, bucket_id, kind, dict(lines))
            except Conflict:  # another process began one of these lines just now: this time it is found
                if attempt == _TRIES:
                    raise
            else:
                return

    async def day(self, day: int) -> Sequence[Usage]:
        async with self._database.reading() as session:
            rows = await session.scalars(select(UsageRow).where(UsageRow.day == day))
            lines = [Usage(row.day, row.bucket_id, row.kind, row.principal_id, row.events, row.bytes) for row in rows]
        return sorted(lines, key=lambda line: (line.bucket_id, line.kind, line.principal_id))

    async def totals(
        self, by: UsageBy, since_day: int, until_day: int, *, owner_id: str | None, bucket_ids: Sequence[int] | None
    ) -> Sequence[UsageLine]:
        where = [UsageRow.day >= since_day, UsageRow.day < until_day]
        if owner_id is not None:
            where.append(_sent_by(owner_id))
        if bucket_ids is not None:
            where.append(UsageRow.bucket_id.in_(bucket_ids))
        async with self._database.reading() as session:
            rows = (await session.execute(_TOTALS[by](where))).all()
        return [_line(*row) for row in sorted(rows, key=lambda row: (-row.day, row.id))]

    async def forget(self, before_day: int) -> None:
        async with self._database.changing() as session:
            await session.execute(delete(UsageRow).where(UsageRow.day < before_day))


def _merged(spent: Sequence[Usage]) -> dict[_Key, _Spent]:
    merged: dict[_Key, _Spent] = {}
    for line in spent:
        key = (line.day, line.bucket_id, line.kind, line.principal_id)
        events, size = merged.get(key, (0, 0))
        merged[key] = (events + line.events, size + line.bytes)
    return merged


def _parts(lines: dict[_Key, _Spent]) -> list[tuple[tuple[int, int, str], dict[str, _Spent]]]:
    """By day, bucket and kind, which is how the primary key can be used; in one order, so that two who add at once
    never wait for each other in a ring."""
    parts = []
    for place, group in groupby(sorted(lines.items()), key=lambda line: line[0][:3]):
        spent = [(key[3], amount) for key, amount in group]
        parts += [(place, dict(spent[start : start + _AT_ONCE])) for start in range(0, len(spent), _AT_ONCE)]
    return parts


async def _add(session: AsyncSession, day: int, bucket_id: int, kind: str, lines: dict[str, _Spent]) -> None:
    here = (UsageRow.day == day, UsageRow.bucket_id == bucket_id, UsageRow.kind == kind)
    known = await session.scalars(
        select(UsageRow)
        .where(*here, UsageRow.principal_id.in_(lines))
        .order_by(UsageRow.principal_id)
        .with_for_update()
    )
    for row in known:
        events, size = lines.pop(row.principal_id)
        row.events += events
        row.bytes += size
    for principal_id, (events, size) in lines.items():
        session.add(
            UsageRow(day=day, bucket_id=bucket_id, kind=kind, principal_id=principal_id, events=events, bytes=size)
        )
    await session.flush()


def _sent_by(owner_id: str) -> ColumnElement[bool]:
    keys = select(ApiKeyRow.id).where(ApiKeyRow.owner_id == owner_id)
    return or_(
        and_(UsageRow.kind == USER, UsageRow.principal_id == owner_id),
        and_(UsageRow.kind == API_KEY, UsageRow.principal_id.in_(keys)),
    )


def _by_bucket(where: Sequence[ColumnElement[bool]]) -> Select[Any]:
    totals = _sums(UsageRow.bucket_id).where(*where).subquery()
    return (
        select(*totals.c, BucketRow.name, BucketRow.events_per_second, BucketRow.bytes_per_day)
        .outerjoin(BucketRow, BucketRow.id == totals.c.id)
    )


def _by_key(where: Sequence[ColumnElement[bool]]) -> Select[Any]:
    totals = _sums(UsageRow.principal_id).where(UsageRow.kind == API_KEY, *where).subquery()
    return (
        select(*totals.c, ApiKeyRow.name, ApiKeyRow.rate_limit, null())
        .outerjoin(ApiKeyRow, ApiKeyRow.id == totals.c.id)
    )


def _by_user(where: Sequence[ColumnElement[bool]]) -> Select[Any]:
    sender = case((UsageRow.kind == USER, UsageRow.principal_id), else_=ApiKeyRow.owner_id)
    key = and_(UsageRow.kind == API_KEY, ApiKeyRow.id == UsageRow.principal_id)
    totals = _sums(sender).outerjoin(ApiKeyRow, key).where(sender.is_not(None), *where).subquery()
    return (
        select(*totals.c, UserRow.username, UserRow.events_per_second, UserRow.bytes_per_day)
        .outerjoin(UserRow, UserRow.id == totals.c.id)
    )


_TOTALS = {"bucket": _by_bucket, "key": _by_key, "user": _by_user}


def _sums(id: ColumnElement[Any] | InstrumentedAttribute[Any]) -> Select[Any]:
    return select(
        UsageRow.day, id.label("id"), func.sum(UsageRow.events).label("events"), func.sum(UsageRow.bytes).label("bytes")
    ).select_from(UsageRow).group_by(UsageRow.day, id)


def _line(
    day: int, id: int | str, events: int, size: int, name: str | None, rate: int | None, daily: int | None
) -> UsageLine:
    limits = {"events_per_second": rate, "bytes_per_day": daily}
    quota = {limit: value for limit, value in limits.items() if value is not None}
    return UsageLine(day, str(id), name, int(events), int(size), quota)  # a sum may come as a Decimal
