"""What `headrace doctor` looks at where the data is on PostgreSQL: each database that the URLs name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from headrace.adapters.postgres.guarantee import guarantee
from headrace.adapters.postgres.inspection import LAYOUTS, Inspected, inspect, is_current
from headrace.adapters.sql.database import ControlDatabase
from headrace.cli.checks import Finding, Grade
from headrace.config import Settings
from headrace.errors import HeadraceError, NewerFormat, Unusable
from headrace.wiring.pools import connections_of
from headrace.wiring.urls import Urls

_OLDEST = 150_000
_CLOCKS_APART = 2.0  # seconds: a lease is 15, and people compare times of events with those of logs
_PROMISES = {"queue": "202", "events": "201"}  # tasks answer 202 as well: the same word for the same commit
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Place:
    """A database, and what is in it."""

    url: str
    name: str
    parts: tuple[str, ...]
    is_copy: bool = False


def postgres(settings: Settings) -> Iterator[Finding]:
    """Nothing on the embedded profile."""
    try:
        urls = Urls.of(settings)
        places = _places(urls)
        seen = asyncio.run(_inspect([place.url for place in places]))
    except Unusable as exc:
        yield Finding(Grade.FAIL, "database", exc.detail, "mend the setting")
        return
    primary = seen.get(urls.events)
    for place in places:
        found = seen[place.url]
        if isinstance(found, HeadraceError):
            advice = "start it, or mend the URL (HEADRACE_DATABASE_URL or that of its part)"
            yield Finding(Grade.FAIL, place.name, f"cannot be reached: {found.detail}", advice)
        elif place.is_copy:
            yield from _replica(place, found, primary, settings.replica_max_lag)
        else:
            yield from _database(place, found, settings)
    if urls.direct and not urls.is_embedded:
        yield asyncio.run(_direct(urls))


def _places(urls: Urls) -> list[_Place]:
    parts: dict[str, list[str]] = {}
    named = (("control", urls.control), ("queue", urls.queue), ("events", urls.events), ("tasks", urls.tasks))
    for part, url in named:
        if url:
            parts.setdefault(url, []).append(part)
    places = [
        _Place(url, "database" if len(names) == len(named) else ", ".join(names), tuple(names))
        for url, names in parts.items()
    ]
    places += [_Place(url, f"shard {number}", ("events",)) for number, url in enumerate(urls.shards, 1)]
    places += [_Place(url, f"replica {number}", (), True) for number, url in enumerate(urls.replicas, 1)]
    return places


async def _inspect(urls: Sequence[str]) -> dict[str, Inspected | HeadraceError]:
    async def one(url: str) -> Inspected | HeadraceError:
        try:
            return await inspect(url)
        except Unusable:
            raise
        except HeadraceError as exc:
            return exc

    return dict(zip(urls, await asyncio.gather(*map(one, urls)), strict=True))


def _database(place: _Place, found: Inspected, settings: Settings) -> Iterator[Finding]:
    yield _server(place, found)
    if found.is_replica:
        advice = "name the primary, or several hosts with ?target_session_attrs=read-write"
        yield Finding(Grade.FAIL, place.name, "is a replica, which takes no writes", advice)
        return
    yield _durability(place, found)
    if {"events", "tasks"} & {*place.parts}:
        yield _trigrams(place, found)
    yield _connections(place, found, settings)
    yield _pooler(place, found, settings)
    yield _tables(place, found)
    yield _clock(place, found)


def _of(place: _Place, grade: Grade, subject: str, text: str, advice: str = "") -> Finding:
    """Says which database, where there are several."""
    return Finding(grade, subject, text if place.name == "database" else f"{place.name}: {text}", advice)


def _server(place: _Place, found: Inspected) -> Finding:
    text = f"PostgreSQL {found.version_name} at {found.place}, answers in {found.round_trip * 1_000:.1f} ms"
    if found.version < _OLDEST:
        return Finding(Grade.FAIL, place.name, text, "Headrace needs PostgreSQL 15 or newer")
    return Finding(Grade.OK, place.name, text)


def _durability(place: _Place, found: Inspected) -> Finding:
    promises = [_PROMISES[part] for part in place.parts if part in _PROMISES]
    told = guarantee(found.durability, " and ".join(promises) or "an answer")
    durability = found.durability
    advice = ""
    if not durability.fsync:
        advice = "set fsync = on in postgresql.conf and restart the server"
    elif not durability.full_page_writes:
        advice = "set full_page_writes = on in postgresql.conf and reload it"
    elif durability.synchronous_commit == "off":
        advice = "synchronous_commit is off there; Headrace turns it on for its own commits"
    grade = Grade.FAIL if not durability.fsync else Grade.OK if told.durable else Grade.WARN
    return _of(place, grade, "durability", told.sentence, advice)


def _trigrams(place: _Place, found: Inspected) -> Finding:
    slow = "without it `q` reads every event of its time range, and every task"
    if not found.has_trigrams:
        how = "CREATE EXTENSION pg_trgm" if found.may_have_trigrams else "install it (postgresql-contrib), as superuser"
        can = "may be made" if found.may_have_trigrams else "not there, and may not be made"
        if found.may_have_trigrams and not found.layouts:
            return _of(place, Grade.OK, "pg_trgm", "will be made at the first start")
        return _of(place, Grade.WARN, "pg_trgm", can, f"{how}; {slow}")
    if found.unsearchable:
        indexes = "; ".join(f"CREATE INDEX {index} USING gin (search gin_trgm_ops)" for index in found.unsearchable)
        return _of(place, Grade.WARN, "pg_trgm", "there, but its index is not", f"{indexes}; {slow}")
    return _of(place, Grade.OK, "pg_trgm", "there")


def _connections(place: _Place, found: Inspected, settings: Settings) -> Finding:
    one = connections_of(settings)[place.url]
    ours = one * settings.processes
    each = f"{settings.processes} × " if settings.processes > 1 else ""
    text = f"{each}up to {one} a process, {found.connections} in use, {found.max_connections} allowed"
    if not found.is_direct:
        return _of(place, Grade.OK, "connections", f"{text}; the pooler has limits of its own")
    if ours > found.max_connections:
        return _of(place, Grade.FAIL, "connections", text, "raise max_connections, or put PgBouncer before it")
    if 2 * ours > found.max_connections:
        advice = "no room for as many again (`headrace work`, a rolling restart): raise max_connections"
        return _of(place, Grade.WARN, "connections", text, advice)
    return _of(place, Grade.OK, "connections", text)


def _pooler(place: _Place, found: Inspected, settings: Settings) -> Finding:
    if found.is_direct:
        return _of(place, Grade.OK, "pooler", "none between: NOTIFY wakes our processes")
    if settings.database_direct_url.get_secret_value():
        return _of(place, Grade.OK, "pooler", "behind one; LISTEN takes HEADRACE_DATABASE_DIRECT_URL")
    advice = "set HEADRACE_DATABASE_DIRECT_URL to the server itself; until then it is polled five times a second"
    return _of(place, Grade.WARN, "pooler", "behind one, which lets no NOTIFY through", advice)


async def _direct(urls: Urls) -> Finding:
    name = "direct URL"
    wanted = [await _maybe(url) for url in (urls.queue or urls.events, urls.direct)]
    through, direct = wanted
    if direct is None:
        return Finding(Grade.FAIL, name, "cannot be reached", "mend HEADRACE_DATABASE_DIRECT_URL, or leave it out")
    if not direct.is_direct:
        return Finding(Grade.WARN, name, "leads to a pooler, too", "name the server itself: its own host and port")
    if through is not None and through.server != direct.server:
        return Finding(Grade.FAIL, name, "leads to another database", "name the database of the queue and the events")
    return Finding(Grade.OK, name, f"{direct.place}, past the pooler")


async def _maybe(url: str) -> Inspected | None:
    try:
        return await inspect(url)
    except HeadraceError:
        return None


def _tables(place: _Place, found: Inspected) -> Finding:
    states = [is_current(layout, found.layouts) for part in place.parts for layout in LAYOUTS[part]]
    if "control" in place.parts:
        states.append(asyncio.run(_control_is_current(place.url)))
    if all(states):
        return _of(place, Grade.OK, "tables", "up to date")
    if not found.layouts:
        return _of(place, Grade.OK, "tables", "none yet; the first start makes them")
    return _of(place, Grade.WARN, "tables", "not those of this Headrace", "run `headrace migrate`")


async def _control_is_current(url: str) -> bool:
    try:
        database = await ControlDatabase.open(url, migrate=False)
    except (Unusable, NewerFormat):
        return False
    await database.close()
    return True


def _clock(place: _Place, found: Inspected) -> Finding:
    apart = abs(found.clock_ahead)
    way = "ahead of" if found.clock_ahead > 0 else "behind"
    text = f"the server's is {apart * 1_000:.0f} ms {way} this machine's"
    if apart > _CLOCKS_APART:
        return _of(place, Grade.WARN, "clocks", text, "run chrony or systemd-timesyncd on both")
    return _of(place, Grade.OK, "clocks", text)


def _replica(
    place: _Place, found: Inspected, primary: Inspected | HeadraceError | None, most: float
) -> Iterator[Finding]:
    yield _server(place, found)
    if not found.is_replica:
        advice = "it was promoted, or is another server: name replicas of the events' database"
        yield Finding(Grade.FAIL, place.name, "is no replica", advice)
        return
    left = primary.wal - found.wal if isinstance(primary, Inspected) else 0
    behind = found.behind if left > 0 else 0.0
    text = f"{behind:.1f} s and {max(left, 0) / _MIB:.1f} MiB behind"
    if behind > most:
        advice = f"it is not read above {most:g} s (HEADRACE_REPLICA_MAX_LAG): see pg_stat_replication of the primary"
        yield Finding(Grade.WARN, place.name, text, advice)
    else:
        yield Finding(Grade.OK, place.name, text)


