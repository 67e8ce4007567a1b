"""What was sent, counted in memory by day, bucket and credential, and written to the ledger every few seconds.

Counting is the hot path: a sum in an object that the gate has at hand. Nothing is written twice; what a killed process
had not written yet is lost: at most one interval (HEADRACE_USAGE_INTERVAL) of figures, never an event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from headrace.errors import Forbidden, OutcomeUnknown, Unavailable
from headrace.kit.times import DAY, SECOND
from headrace.model.account import Usage, UsageLine
from headrace.model.principal import USER, VIEWER, Permission, Principal, Role
from headrace.ports.clock import Clock
from headrace.ports.usage import UsageBy, UsageLedger

KEPT_DAYS = 400  # a year, and a month to look back on it
_SHOWN_DAYS = 30  # without `since`
_TRIES = 3  # of the last write, at shutdown
_RETRY_SECONDS = 0.2
_log = structlog.get_logger("headrace.metering")

_Spent = dict[tuple[int, int, str, str], tuple[int, int]]
"""(day, bucket id, kind, principal id) → events, bytes."""


class Tally:
    """What one credential sent into one bucket since it was last collected; `meter.open` has it while there is any."""

    __slots__ = ("bucket_id", "bytes", "events", "kind", "meter", "principal_id")

    def __init__(self, meter: UsageMeter, bucket_id: int, kind: str, principal_id: str) -> None:
        self.meter = meter
        self.bucket_id = bucket_id
        self.kind = kind
        self.principal_id = principal_id
        self.events = 0
        self.bytes = 0

    def count(self, events: int, size: int) -> None:
        """`size`: bytes as JSON."""
        if not self.events:
            self.meter.open.append(self)
        self.events += events
        self.bytes += size


class DayTotal:
    """Bytes of today, of all that shares one quota: those `charged` here, and the `others` that the ledger knows."""

    __slots__ = ("charged", "others")

    def __init__(self, others: int = 0) -> None:
        self.charged = 0
        self.others = others


class UsageMeter:
    """`step` every usage interval, `close` at the end. Days are days since 1970 in UTC, by the wall clock."""

    def __init__(self, ledger: UsageLedger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._spent: _Spent = {}
        self._totals: dict[tuple[UsageBy, str], DayTotal] = {}
        self._writing = asyncio.Lock()
        self._forgotten = -1
        self.open: list[Tally] = []
        self.day = clock.now() // DAY
        self._midnight: asyncio.TimerHandle | None = None

    def look_at_day(self) -> None:
        """What day it is, from now on. At midnight a timer looks, so that nobody who counts has to."""
        today = self._clock.now() // DAY
        if today != self.day:
            self._collect()
            for total in self._totals.values():
                total.charged = total.others = 0
            self.day = today

    def seconds_left(self) -> float:
        """Until midnight UTC."""
        return (DAY - self._clock.now() % DAY) / SECOND

    async def total(self, by: UsageBy, id: str) -> DayTotal:
        """The bytes of today of a bucket or user. While the ledger cannot be reached: what this process knows."""
        if (known := self._totals.get((by, id))) is not None:
            return known
        try:
            others = (await self._today(by, [id])).get((by, id), 0)
        except Unavailable:
            others = 0  # the next step that succeeds puts it right
        return self._totals.setdefault((by, id), DayTotal(others))

    async def step(self) -> int:
        """Write what was counted, and learn what other processes wrote. Raises Unavailable; nothing is lost by that."""
        async with self._writing:
            self._watch_midnight()
            self._collect()
            day, charged = self.day, {key: total.charged for key, total in self._totals.items()}
            await self._write()
            buckets, users = _ids(charged, "bucket"), _ids(charged, "user")
            spent = await self._today("bucket", buckets) | await self._today("user", users)
            if day == self.day:
                for key, before in charged.items():
                    self._totals[key].others = spent.get(key, 0) - before
            if self._forgotten != day:
                await self._ledger.forget(day - KEPT_DAYS)
                self._forgotten = day
        return 0

    async def flush(self) -> None:
        """Write what was counted. Raises Unavailable; nothing is lost by that."""
        async with self._writing:
            self.look_at_day()
            self._collect()
            await self._write()

    async def close(self) -> None:
        """The last write, with a few tries."""
        if self._midnight is not None:
            self._midnight.cancel()
        for left in reversed(range(_TRIES)):
            try:
                await self.flush()
                break
            except Unavailable as exc:
                if not left:
                    events = sum(events for events, _ in self._spent.values())
                    _log.warning("usage could not be written down and is lost", events=events, reason=exc.detail)
                else:
                    await self._clock.sleep(_RETRY_SECONDS)

    def _watch_midnight(self) -> None:
        """Set anew at each step, so that a wall clock that was moved is followed."""
        if self._midnight is not None:
            self._midnight.cancel()
        self.look_at_day()
        self._midnight = asyncio.get_running_loop().call_later(self.seconds_left(), self._watch_midnight)

    def _collect(self) -> None:
        collected, self.open = self.open, []
        for tally in collected:
            key = (self.day, tally.bucket_id, tally.kind, tally.principal_id)
            self._spend(key, tally.events, tally.bytes)
            tally.events = tally.bytes = 0

    def _spend(self, key: tuple[int, int, str, str], events: int, size: int) -> None:
        before = self._spent.get(key, (0, 0))
        self._spent[key] = (before[0] + events, before[1] + size)

    async def _write(self) -> None:
        if not self._spent:
            return
        writing, self._spent = self._spent, {}
        try:
            await self._ledger.add([Usage(*key, *counted) for key, counted in sorted(writing.items())])
        except OutcomeUnknown as exc:
            # Perhaps it is written: once more could count it twice, and nobody shall pay for what was not sent.
            _log.warning("usage is lost if it was not written: nobody knows", lines=len(writing), reason=exc.detail)
            raise
        except Exception:  # not when cancelled: it may be in mid-commit, and that is an unknown outcome, too
            for key, (events, size) in writing.items():
                self._spend(key, events, size)
            raise

    async def _today(self, by: UsageBy, ids: Sequence[str]) -> dict[tuple[UsageBy, str], int]:
        """Bytes that the ledger knows of today. Raises Unavailable."""
        if not ids:
            return {}
        owner = ids[0] if by == "user" and len(ids) == 1 else None
        buckets = [int(one) for one in ids] if by == "bucket" else None
        lines = await self._ledger.totals(by, self.day, self.day + 1, owner_id=owner, bucket_ids=buckets)
        return {(by, line.id): line.bytes for line in lines}


def _ids(totals: dict[tuple[UsageBy, str], int], by: UsageBy) -> list[str]:
    return [one for kind, one in totals if kind == by]


class UsageDesk:
    """Who may see how much was sent.

    Administrators see everything. Users see what their own credentials sent, and of the buckets that they manage what
    anybody sent there. An API key sees itself, and of buckets the same: to whoever has it, its owner's other keys are
    none of their business. Viewer tokens see nothing.
    """

    def __init__(self, ledger: UsageLedger, meter: UsageMeter, clock: Clock) -> None:
        self._ledger = ledger
        self._meter = meter
        self._clock = clock

    async def report(
        self, principal: Principal, by: UsageBy, since: int | None, until: int | None
    ) -> Sequence[UsageLine]:
        """Whole days (UTC) that [since, until) touches, newest first, then by id: µs since 1970; without them the last
        30 days. Raises Forbidden, and Unavailable."""
        if principal.kind == VIEWER:
            raise Forbidden("A viewer token reads events, and nothing else.")
        now = self._clock.now()
        first = now // DAY - _SHOWN_DAYS + 1 if since is None else since // DAY
        end = now // DAY + 1 if until is None else -(-until // DAY)
        if first >= end:
            return []
        await self._meter.flush()  # who has just sent something finds it here
        if principal.role is Role.ADMIN:
            return await self._ledger.totals(by, first, end, owner_id=None, bucket_ids=None)
        seen: dict[tuple[int, str], UsageLine] = {}
        managed = [bucket for bucket, permissions in principal.grants.items() if Permission.MANAGE in permissions]
        if managed:
            seen = _by_day(await self._ledger.totals(by, first, end, owner_id=None, bucket_ids=managed))
        whole = await self._own(principal, by, first, end)
        seen = (whole | seen) if by == "bucket" else (seen | whole)  # of the two the one that holds the other
        return sorted(seen.values(), key=lambda line: (-line.day, line.id))

    async def _own(self, principal: Principal, by: UsageBy, first: int, end: int) -> dict[tuple[int, str], UsageLine]:
        """What the caller's own credentials sent, wherever to, but no bucket that the caller may not see any more."""
        if principal.owner_id is None or (principal.kind != USER and by != "key"):
            return {}
        lines = await self._ledger.totals(by, first, end, owner_id=principal.owner_id, bucket_ids=None)
        if by == "bucket":
            lines = [line for line in lines if principal.grants.get(int(line.id))]
        if principal.kind != USER:
            lines = [line for line in lines if line.id == principal.id]
        return _by_day(lines)


def _by_day(lines: Sequence[UsageLine]) -> dict[tuple[int, str], UsageLine]:
    return {(line.day, line.id): line for line in lines}
