"""Both sides of a move of the control data: every table as it is, from one engine to another.

What there is to move is what the models say: a new table or column moves along without a line here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

from sqlalchemy import BigInteger, CompoundSelect, column, func, insert, literal, select, table, text, union_all
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from headrace.adapters.postgres import _move_notes as notes
from headrace.adapters.postgres.database import Database
from headrace.adapters.postgres.guarantee import AT_LEAST_THE_DISK
from headrace.adapters.postgres.layout import prepare
from headrace.adapters.sql.database import ControlDatabase
from headrace.adapters.sql.engine import USE, Use, open_engine
from headrace.adapters.sql.failures import opening
from headrace.adapters.sql.migrate import migrate
from headrace.adapters.sql.models import Base, BucketRow, SecretRow
from headrace.adapters.sql.shared_secret import NAME as SEALING
from headrace.errors import Unusable
from headrace.kit.failpoint import reach
from headrace.kit.times import from_datetime
from headrace.model.bucket import AUDIT_BUCKET
from headrace.model.move import TablePage
from headrace.ports.clock import Clock

_ROWS = 1_000
_PART = "control"
_NAME = "the control database"
_TABLES = [each for each in Base.metadata.sorted_tables if each.name != SecretRow.__tablename__]
"""What rows refer to comes before them. The secret is moved by itself: beside a file it is a file."""
_SEQUENCES = table("sqlite_sequence", column("name"), column("seq", BigInteger))
_FINISH = "INSERT INTO headrace_move (part, source, finished_at) VALUES (:part, :source, clock_timestamp())"
_NUMBER_ON = "SELECT setval(pg_get_serial_sequence(:table, :column), :highest)"


class SqlMoveControl:
    """`ports.move.ControlFrom`: the control data in a SQLite file."""

    def __init__(self, database: ControlDatabase) -> None:
        self._database = database

    async def source(self) -> str:
        async with self._database.reading() as session:
            made = await session.scalar(select(BucketRow.created_at).where(BucketRow.name == AUDIT_BUCKET))
        if made is None:
            raise Unusable("No Headrace has served this data directory yet: there is nothing to copy.")
        return str(made)

    async def counts(self) -> Mapping[str, int]:
        async with self._database.reading() as session:
            found = await session.execute(_counting())
            return {name: int(count) for name, count in found.all()}

    async def highest(self) -> Mapping[str, int]:
        async with self._database.reading() as session:
            found = await session.execute(select(_SEQUENCES.c.name, _SEQUENCES.c.seq))
            return {name: int(seq) for name, seq in found.all()}

    async def pages(self) -> AsyncIterator[TablePage]:
        for each in _TABLES:
            async with self._database.reading() as session:
                result = await session.stream(select(each).execution_options(yield_per=_ROWS))
                async for rows in result.mappings().partitions():
                    yield TablePage(each.name, [dict(row) for row in rows])


class SqlMoveInto:
    """`ports.move.ControlInto`: control data in PostgreSQL."""

    def __init__(self, engine: AsyncEngine, database: Database) -> None:
        """Use `open`."""
        self._engine = engine
        self._database = database

    @classmethod
    async def open(cls, url: str, clock: Clock) -> Self:
        """Connect, and make the tables. Raises NewerFormat, Unusable or Unavailable."""
        await migrate(url)
        database = Database(url, clock, name=_NAME, size=1)
        await database.open()
        try:
            await prepare(database, notes.LAYOUT, migrate=True)
        except BaseException:
            await database.close()
            raise
        return cls(open_engine(url, migrating=True), database)

    async def look(self, source: str) -> None:
        await notes.look(self._database, _PART, source, [each.name for each in Base.metadata.sorted_tables])

    async def finished_at(self, source: str) -> int | None:
        row = await notes.find(self._database, _PART)
        if row is None or row.finished_at is None:
            return None
        notes.check(_NAME, source, row.source, finished=False)
        return from_datetime(row.finished_at)

    async def finish(
        self, source: str, pages: AsyncIterator[TablePage], highest: Mapping[str, int], secret: str | None
    ) -> None:
        with opening():
            async with self._engine.execution_options(**{USE: Use.MIGRATE}).begin() as connection:
                await connection.execute(text(AT_LEAST_THE_DISK))
                await _refuse_rows(connection)
                async for page in pages:
                    await connection.execute(insert(Base.metadata.tables[page.table]), list(page.rows))
                await _number_on(connection, highest)
                if secret is not None:
                    await connection.execute(insert(SecretRow).values(name=SEALING, secret=secret))
                await connection.execute(text(_FINISH), {"part": _PART, "source": source})
                reach("move.before_finish")
            reach("move.after_finish")

    async def counts(self) -> Mapping[str, int]:
        with opening():
            async with self._engine.execution_options(**{USE: Use.READ}).connect() as connection:
                found = await connection.execute(_counting())
                return {name: int(count) for name, count in found.all()}

    async def close(self) -> None:
        await self._engine.dispose()
        await self._database.close()


async def _refuse_rows(connection: AsyncConnection) -> None:
    """A server may have been started on the database since we looked."""
    for each in Base.metadata.sorted_tables:
        if await connection.scalar(select(select(literal(1)).select_from(each).exists())):
            raise notes.occupied(_NAME, each.name)


async def _number_on(connection: AsyncConnection, highest: Mapping[str, int]) -> None:
    """A number that was given once, even to a row that is deleted since, is never given again."""
    for each in _TABLES:
        numbered = each.autoincrement_column
        if numbered is not None and highest.get(each.name):
            given = {"table": each.name, "column": numbered.name, "highest": highest[each.name]}
            await connection.execute(text(_NUMBER_ON), given)


def _counting() -> CompoundSelect[Any]:  # Any: pairs of a name and a count
    return union_all(*(select(literal(each.name), func.count()).select_from(each) for each in _TABLES))
