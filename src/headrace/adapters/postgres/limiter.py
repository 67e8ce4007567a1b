"""Limits that all machines share: a row for each key, locked while it is counted, by the database's clock.

The table is unlogged: a commit waits for no disk, and after a crash of the server everybody begins anew. Rows that are
as good as new are swept away, so there are as many as there were keys in one window. No index but the primary key: an
update then touches no index at all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from headrace.adapters.postgres.database import Connection, Database
from headrace.adapters.postgres.layout import Layout
from headrace.errors import Unavailable
from headrace.kit.attempt_log import seconds_until_room
from headrace.kit.token_bucket import DebtBucket
from headrace.ports.clock import Clock
from headrace.ports.limiter import Lease, Limit

_BUCKET, _LOG = 0, 1  # kinds of rows: `state` is (tokens, when they were counted), or the times of attempts
_SECONDS = 2.0  # for a connection, and with it: callers that are not served go on by themselves
_TRIES = 3  # to lock a row that is swept away or forgiven again and again
_SWEEP_SECONDS = 60.0
_SWEPT = 10_000  # at once, in about 20 ms

_TABLE = """
CREATE UNLOGGED TABLE headrace_limits (
    kind smallint NOT NULL, key text NOT NULL,
    state double precision[] NOT NULL DEFAULT '{}', until double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, key)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_cost_delay = 0)
"""
LIMITER = Layout("limiter", [[_TABLE]])
"""Times are seconds since 1970. From `until` on a row is as good as none; a new one is locked by who made it."""

_WAIT = "SET LOCAL lock_timeout = '1s'"
_MAKE = "INSERT INTO headrace_limits (kind, key) VALUES (%s, %s) ON CONFLICT DO NOTHING"
_LOCK = "SELECT state FROM headrace_limits WHERE kind = %s AND key = %s FOR UPDATE"
_NOW = "SELECT extract(epoch FROM clock_timestamp())::double precision"  # asked once the row is ours: never before it
_KEEP = "UPDATE headrace_limits SET state = %s::double precision[], until = %s WHERE kind = %s AND key = %s"
_PEEK = f"SELECT state, ({_NOW}) FROM headrace_limits WHERE kind = %s AND key = %s"  # noqa: S608 - constants
_FORGIVE = "DELETE FROM headrace_limits WHERE kind = %s AND key = %s"
_SWEEP = f"""
DELETE FROM headrace_limits WHERE (kind, key) IN (
    SELECT kind, key FROM headrace_limits WHERE until <= ({_NOW}) LIMIT {_SWEPT} FOR UPDATE SKIP LOCKED
)
"""  # noqa: S608 - constants


@dataclass(slots=True)
class _Row:
    """A row that nobody else can change now, and the time on the database's clock. `until`: from when on it may go."""

    now: float
    state: list[float] = field(default_factory=list)
    until: float | None = None

    def keep(self, state: list[float], until: float) -> None:
        self.state, self.until = [float(each) for each in state], until


class PostgresLimiter:
    """`database` has the tables of `LIMITER`. `clock` only says when to sweep."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._monotonic = clock.monotonic
        self._sweep_at = clock.monotonic() + _SWEEP_SECONDS

    async def lease(self, key: str, limit: Limit, want: int, owed: int = 0) -> Lease:
        await self._sweep()
        async with self._locked(_BUCKET, key) as row:
            tokens, counted = row.state or (limit.count, row.now)
            bucket = DebtBucket(tokens, min(counted, row.now))  # later than now: the clock was set back
            lease = Lease(*bucket.lease(row.now, limit.count, limit.seconds, want, owed))
            row.keep([bucket.tokens, bucket.counted], bucket.full_at(limit.count, limit.seconds))
        return lease

    async def attempt(self, key: str, limit: Limit) -> float:
        await self._sweep()
        if (wait := await self.peek(key, limit)) > 0:
            return wait  # who knocks at a closed door waits for no lock, and holds nobody up
        async with self._locked(_LOG, key) as row:
            log = _log(row.state, row.now)
            wait = seconds_until_room(log, limit.count, limit.seconds, row.now)
            if wait <= 0:
                log.append((row.now, ""))
                row.keep([at for at, _ in log], row.now + limit.seconds)
        return wait

    async def peek(self, key: str, limit: Limit) -> float:
        async with self._database.asking(_SECONDS) as connection:
            row = await (await connection.execute(_PEEK, (_LOG, key))).fetchone()
        return seconds_until_room(_log(*row), limit.count, limit.seconds, row[1]) if row is not None else 0.0

    async def forgive(self, key: str, limit: Limit) -> None:  # noqa: ARG002 - the port's: here a row is one key's
        async with self._database.changing(_SECONDS) as connection:
            await connection.execute(_FORGIVE, (_LOG, key))

    async def give_back(self, key: str, limit: Limit) -> None:
        async with self._locked(_LOG, key) as row:
            times = row.state[:-1]
            row.keep(times, times[-1] + limit.seconds if times else row.now)

    @asynccontextmanager
    async def _locked(self, kind: int, key: str) -> AsyncIterator[_Row]:
        """What is kept in the row is written when the block is left. Two round trips. Raises Unavailable."""
        async with self._database.changing(_SECONDS) as connection, connection.pipeline(), connection.transaction():
            row = await _lock(connection, kind, key)
            yield row
            if row.until is not None:
                await connection.execute(_KEEP, (row.state, row.until, kind, key))

    async def _sweep(self) -> None:
        """Now and then, and again at once while there is more; whoever comes first does it."""
        if self._monotonic() < self._sweep_at:
            return
        self._sweep_at = self._monotonic() + _SWEEP_SECONDS
        with suppress(Unavailable):
            async with self._database.changing(_SECONDS) as connection:
                if (await connection.execute(_SWEEP)).rowcount == _SWEPT:
                    self._sweep_at = self._monotonic()


async def _lock(connection: Connection, kind: int, key: str) -> _Row:
    await connection.execute(_WAIT)
    for _ in range(_TRIES):
        await connection.execute(_MAKE, (kind, key))
        locked = await connection.execute(_LOCK, (kind, key))
        clock = await connection.execute(_NOW)
        found, now = await locked.fetchone(), await clock.fetchone()
        if found is not None and now is not None:
            return _Row(now[0], found[0])
    raise Unavailable("The limits are changed by too many at once: try again.")


def _log(times: list[float], now: float) -> deque[tuple[float, str]]:
    """A time later than now, since the clock was set back, counts as now: it limits for one window and no longer."""
    return deque((min(at, now), "") for at in times)
