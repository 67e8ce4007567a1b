"""PostgreSQL as an engine: through a pooler in transaction mode too, and never waiting long for a server that hangs."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import psycopg
from psycopg import waiting
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import Connection, event
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from headrace.adapters.postgres.database import ENDS_CONNECTION, conninfo, cut
from headrace.adapters.postgres.guarantee import AT_LEAST_THE_DISK
from headrace.adapters.sql.engine import USE, Use

_CONNECT_SECONDS = 2  # for each host, so that a request can still be answered by the next one
_POOL_SECONDS = 3.0  # for a connection, while others use all of them
_STATEMENT_SECONDS = 5.0
_MIGRATION_SECONDS = 300.0
_LOCK = 0x68656164_6374726C  # "headctrl" in ASCII: no other part of Headrace locks this

# In one message each. SET LOCAL ends with the transaction, and so stays nobody else's behind a pooler.
_CHANGE = f"BEGIN; SET LOCAL statement_timeout = '4s'; SET LOCAL lock_timeout = '3s'; {AT_LEAST_THE_DISK}"
# A change of a table that waits for its lock makes everybody behind it wait: it gives up soon, and is tried again.
_MIGRATE = (
    f"BEGIN; SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock({_LOCK}); SET LOCAL lock_timeout = '2s'"
)
_BEGIN = {Use.READ: "", Use.CHANGE: _CHANGE, Use.MIGRATE: _MIGRATE}

RV = TypeVar("RV")


class ImpatientConnection(psycopg.AsyncConnection[tuple[Any, ...]]):
    """One whose every exchange with the server ends in time, by cutting the connection from below, or at once when its
    task is cancelled (SQLAlchemy then drops the connection). psycopg itself would ask the server to stop and wait for
    its answer; one that hangs gives none."""

    seconds = _STATEMENT_SECONDS

    async def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """As psycopg's; every exchange goes through here. Raises OperationalError when it was cut."""
        timer = asyncio.get_running_loop().call_later(self.seconds, cut, self)
        try:
            return await waiting.wait_async(gen, self.pgconn.socket, interval=interval, timeout=timeout)
        finally:
            timer.cancel()


class _PatientConnection(ImpatientConnection):
    seconds = _MIGRATION_SECONDS


def open_postgres(url: str, size: int, *, migrating: bool) -> AsyncEngine:
    """Raises Unusable for a URL that libpq does not understand. It may name several hosts."""
    parameters = _parameters(url)
    kind = _PatientConnection if migrating else ImpatientConnection

    async def connect() -> psycopg.AsyncConnection[tuple[Any, ...]]:
        # In autocommit mode the transactions are ours, begun below; reads are none.
        return await kind.connect(parameters, autocommit=True, prepare_threshold=None)

    pool: dict[str, Any] = {"poolclass": NullPool} if migrating else {  # Any: what SQLAlchemy takes
        "pool_size": size, "max_overflow": 0, "pool_timeout": _POOL_SECONDS, "pool_pre_ping": True,
    }  # fmt: skip
    engine = create_async_engine(
        URL.create("postgresql+psycopg"), async_creator=connect, use_native_hstore=False, hide_parameters=True, **pool
    )
    event.listen(engine.sync_engine, "begin", _begin)
    event.listen(engine.sync_engine, "handle_error", _look_at)
    return engine


def _parameters(url: str) -> str:
    text = conninfo(url)
    if "connect_timeout" in conninfo_to_dict(url):
        return text
    return make_conninfo(text, connect_timeout=_CONNECT_SECONDS)


def _begin(connection: Connection) -> None:
    use = connection.get_execution_options().get(USE)
    statement = "BEGIN" if use is None else _BEGIN[use]
    if statement:
        connection.exec_driver_sql(statement)


def _look_at(context: ExceptionContext) -> None:
    if isinstance(context.original_exception, ENDS_CONNECTION):
        context.is_disconnect = True
