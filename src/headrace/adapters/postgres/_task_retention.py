"""Purging the history: whole days where everything in them ended before, else row by row."""

from __future__ import annotations

from psycopg import sql

from headrace.adapters.postgres._task_partitions import LEAST_FULL, days_there, drop, end_of, name_of
from headrace.adapters.postgres._task_statements import PURGE, ROWS_ABOUT
from headrace.adapters.postgres.database import Connection
from headrace.kit.times import DAY

_AT_ONCE = 5000  # rows deleted in one transaction
_REST = "task_history_rest"


async def purge(connection: Connection, before: int) -> int:
    """How many are gone; 0: there is no more to do now. A full day that is about to pass as a whole waits for that: to
    delete its rows one by one would cost as much as to store them."""
    for day in await days_there(connection):
        end = end_of(day)
        if end - DAY > before:
            break
        table = name_of(day)
        if end <= before and (dropped := await drop(connection, day, before)) is not None:
            if dropped:
                return dropped
            continue
        if before < end + DAY and await _rows_about(connection, table) >= LEAST_FULL:
            continue
        if gone := await _delete(connection, table, before):
            return gone
    return await _delete(connection, _REST, before)


async def _rows_about(connection: Connection, table: str) -> int:
    """As the last vacuum or analyze counted."""
    found = await (await connection.execute(ROWS_ABOUT, (table,))).fetchone()
    return 0 if found is None or found[0] is None else int(found[0])


async def _delete(connection: Connection, table: str, before: int) -> int:
    statement = sql.SQL(PURGE).format(table=sql.Identifier(table))
    found = await (await connection.execute(statement, {"before": before, "limit": _AT_ONCE})).fetchone()
    return 0 if found is None else int(found[0])
