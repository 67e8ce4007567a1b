"""The control database: its transactions, its backup."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import CursorResult, Delete, Result, select
from sqlalchemy import exc as sql
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from headrace.adapters.sql.engine import USE, Use, open_engine, patience, sqlite_path
from headrace.adapters.sql.failures import is_failure, opening, translated
from headrace.adapters.sql.migrate import HEAD, VERSION, is_current
from headrace.adapters.sql.migrate import migrate as migrate_database
from headrace.errors import OutcomeUnknown, Unavailable, Unsupported, Unusable
from headrace.kit.breaker import Breaker
from headrace.kit.trials import Trials
from headrace.ports.clock import Clock

FILE_NAME = "control.db"
_NAME = "the control database"


@dataclass(frozen=True, slots=True)
class ControlOptions:
    """For a database on a server: connections at most, and after how many failures in a row it is left alone for how
    many seconds."""

    connections: int = 5
    failures: int = 5
    seconds: float = 2.0


class ControlDatabase:
    """What the adapters of this folder share. Made by `open`; bound to the event loop that opened it.

    `breaker` stands before a database on a server, which may be away; a file has none.
    """

    def __init__(self, engine: AsyncEngine, clock: Clock | None = None, options: ControlOptions | None = None) -> None:
        self._engine = engine
        self._reader = engine.execution_options(**{USE: Use.READ})
        self._writer = engine.execution_options(**{USE: Use.CHANGE})
        self._seconds = patience(engine)
        options = options or ControlOptions()
        self._trials = Trials(self._try, options.seconds)
        self.breaker = None if clock is None else self._breaker(clock, options)

    @classmethod
    async def open(
        cls, url: str, *, migrate: bool = True, clock: Clock | None = None, options: ControlOptions | None = None
    ) -> ControlDatabase:
        """Connect, and bring the tables up to date (`migrate=False`: only check that they are).

        `clock` is the breaker's; without one there is none. Raises NewerFormat for a database that a newer Headrace
        wrote, Unusable for one that this cannot use as it is, and Unavailable when it cannot be reached.
        """
        options = options or ControlOptions()
        engine = open_engine(url, size=options.connections)
        try:
            with opening():
                await _prepare(engine, url, migrate=migrate)
        except BaseException:
            await engine.dispose()
            raise
        return cls(engine, clock if sqlite_path(engine) is None else None, options)

    @property
    def on_server(self) -> bool:
        """Whether processes on other machines may use it, too."""
        return sqlite_path(self._engine) is None

    @asynccontextmanager
    async def reading(self, *, long: bool = False) -> AsyncIterator[AsyncSession]:
        """For one statement, which sees one state of the data; `long`: for many. Raises Unavailable."""
        with self._watched(), translated():
            limit = asyncio.timeout(None if long else self._seconds)
            async with limit, AsyncSession(self._reader) as session:
                yield session

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[AsyncSession]:
        """A transaction that is durable once the block is left, and undone when it raises.

        Raises Conflict when a unique name or id is taken, Unavailable (nothing was changed) and OutcomeUnknown.
        """
        with self._watched(), translated():
            async with (
                asyncio.timeout(self._seconds) as deadline,
                AsyncSession(self._writer, expire_on_commit=False) as session,
            ):
                yield session
                await session.flush()
                with _in_mid_commit(deadline):
                    await session.commit()

    def _breaker(self, clock: Clock, options: ControlOptions) -> Breaker:
        breaker = Breaker(
            _NAME, clock.monotonic, Unavailable, is_failure,
            failures=options.failures, seconds=options.seconds, on_open=lambda: self._trials.begin(breaker),
        )  # fmt: skip
        return breaker

    async def _try(self) -> None:
        with translated():
            async with asyncio.timeout(self._seconds), AsyncSession(self._reader) as session:
                await session.execute(select(1))

    def _watched(self) -> AbstractContextManager[None]:
        return nullcontext() if self.breaker is None else self.breaker.watch()

    async def backup(self, directory: str) -> None:
        """Write `control.db` into `directory`, consistent and complete or not at all, while everything runs.

        Raises Unavailable; Unsupported where the database has backups of its own.
        """
        if sqlite_path(self._engine) is None:
            raise Unsupported("This control database is on a server: back it up with the server's own tools.")
        target = Path(directory) / FILE_NAME
        part = target.with_suffix(".part")
        try:
            await asyncio.to_thread(part.unlink, missing_ok=True)
            with translated():
                async with self._reader.connect() as connection:
                    await connection.exec_driver_sql("VACUUM INTO ?", (str(part),))
            await asyncio.to_thread(_put_in_place, part, target)
        except OSError as exc:
            raise Unavailable(f"The copy of the control data cannot be written: {exc.strerror}.") from exc

    async def close(self) -> None:
        """Let go of the connection. What was begun is finished or undone."""
        await self._trials.close()
        await self._engine.dispose()


async def one_at_a_time(session: AsyncSession) -> None:
    """From here to the end of the transaction, no other that calls this runs.

    For the rare rules about several rows that no constraint can express. It locks the one row that is always there;
    SQLite, whose transactions never run at once, ignores that.
    """
    await session.execute(select(VERSION.c.version_num).with_for_update())


async def delete_rows(session: AsyncSession, statement: Delete) -> int:
    """How many it deleted; rows that this session holds already do not learn of it."""
    return rowcount(await session.execute(statement, execution_options={"synchronize_session": False}))


def rowcount(done: Result[Any]) -> int:  # Any: whatever the rows would be, if there were any
    """How many rows an update or delete matched."""
    assert isinstance(done, CursorResult)
    return done.rowcount


@contextmanager
def _in_mid_commit(deadline: asyncio.Timeout) -> Iterator[None]:
    """Around a commit. Raises OutcomeUnknown when the answer to it did not come."""
    lost = "The connection was lost in mid-commit: see whether it was done."
    try:
        yield
    except sql.DBAPIError as exc:
        if exc.connection_invalidated:
            raise OutcomeUnknown(lost) from exc
        raise
    except asyncio.CancelledError as exc:
        if deadline.expired():
            raise OutcomeUnknown(lost) from exc
        raise


async def _prepare(engine: AsyncEngine, url: str, *, migrate: bool) -> None:
    if await is_current(engine):
        return
    if not migrate:
        raise Unusable(f"The control database is not at version {HEAD}: run `headrace migrate`.")
    await migrate_database(url)


def _put_in_place(part: Path, target: Path) -> None:
    """VACUUM INTO leaves it to us to sync what it wrote."""
    part.chmod(0o600)
    for path in (part, target.parent):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        if path == part:
            part.replace(target)
