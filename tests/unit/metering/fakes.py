"""A ledger in memory, a limiter that can be down, and who sends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from headrace.adapters.memory.limiter import MemoryLimiter
from headrace.errors import OutcomeUnknown, Unavailable
from headrace.kit.times import DAY
from headrace.metering.gate import Gate, GateOptions
from headrace.metering.usage import UsageMeter
from headrace.model.account import Usage, UsageLine
from headrace.model.bucket import Bucket, Quota
from headrace.model.principal import API_KEY, USER, Principal, Role
from headrace.ports.limiter import Lease, Limit
from headrace.ports.usage import UsageBy
from tests.unit.control import NOW, HandClock

TODAY = NOW // DAY
_NO_LIMITS = GateOptions()


class HeldLedger:
    """Lines in a list, with `owners` of keys; unreachable while `down`; `unsure` writes and does not say so."""

    def __init__(self, **owners: str) -> None:
        self.lines: list[Usage] = []
        self.owners = owners
        self.forgotten: list[int] = []
        self.down = self.unsure = False

    async def add(self, spent: Sequence[Usage]) -> None:
        self._check()
        await asyncio.sleep(0)
        self.lines += spent
        if self.unsure:
            raise OutcomeUnknown("the connection broke")

    async def day(self, day: int) -> Sequence[Usage]:
        self._check()
        return [line for line in self.lines if line.day == day]

    async def totals(
        self, by: UsageBy, since_day: int, until_day: int, *, owner_id: str | None, bucket_ids: Sequence[int] | None
    ) -> Sequence[UsageLine]:
        self._check()
        await asyncio.sleep(0)
        sums: dict[tuple[int, str], tuple[int, int]] = {}
        for line in self.lines:
            owner = line.principal_id if line.kind == USER else self.owners.get(line.principal_id)
            sender = line.principal_id if line.kind == API_KEY else None
            of: dict[UsageBy, str | None] = {"bucket": str(line.bucket_id), "key": sender, "user": owner}
            name = of[by]
            wanted = owner_id in (None, owner) and (bucket_ids is None or line.bucket_id in bucket_ids)
            if name is not None and wanted and since_day <= line.day < until_day:
                events, size = sums.get((line.day, name), (0, 0))
                sums[line.day, name] = (events + line.events, size + line.bytes)
        return [UsageLine(*key, None, *sums[key]) for key in sorted(sums, key=lambda key: (-key[0], key[1]))]

    async def forget(self, before_day: int) -> None:
        self._check()
        self.forgotten.append(before_day)

    def counted(self) -> dict[tuple[int, int, str], tuple[int, int]]:
        """(day from today, bucket, who) → events and bytes, of all lines together."""
        sums: dict[tuple[int, int, str], tuple[int, int]] = {}
        for line in self.lines:
            key = (line.day - TODAY, line.bucket_id, line.principal_id)
            before = sums.get(key, (0, 0))
            sums[key] = (before[0] + line.events, before[1] + line.bytes)
        return sums

    def _check(self) -> None:
        if self.down:
            raise Unavailable("down")


class CountedLimiter(MemoryLimiter):
    """Counts the leases; unreachable while `down`."""

    def __init__(self, clock: HandClock) -> None:
        super().__init__(clock)
        self.leases = 0
        self.down = False

    async def lease(self, key: str, limit: Limit, want: int, owed: int = 0) -> Lease:
        self.leases += 1
        await asyncio.sleep(0)
        if self.down:
            raise Unavailable("down")
        return await super().lease(key, limit, want, owed)


class Rig:
    """A gate with all around it."""

    def __init__(self, options: GateOptions = _NO_LIMITS, **owners: str) -> None:
        self.clock = HandClock()
        self.limiter = CountedLimiter(self.clock)
        self.ledger = HeldLedger(**owners)
        self.restart(options)

    def restart(self, options: GateOptions = _NO_LIMITS) -> None:
        """Another process on the same ledger and limiter."""
        self.meter = UsageMeter(self.ledger, self.clock)
        self.gate = Gate(self.limiter, self.clock, options, self.meter)

    async def send(self, principal: Principal, bucket: Bucket | None, events: int = 1, size: int = 100) -> None:
        """As the doors do. Raises OverQuota."""
        ticket = self.gate.admit(principal, bucket) or await self.gate.enter(principal, bucket)
        await asyncio.sleep(0)
        if events:
            ticket.charge(events, size)

    async def sent(self, count: int, principal: Principal, bucket: Bucket | None, events: int = 1) -> int:
        """How many of `count` requests, all at once, got in."""
        sending = (self.send(principal, bucket, events) for _ in range(count))
        return sum(answer is None for answer in await asyncio.gather(*sending, return_exceptions=True))


def key(id: str = "k1", owner: str | None = "ada", **more: Any) -> Principal:
    return Principal(id, API_KEY, id, Role.USER, owner_id=owner, **more)


def user(id: str = "ada", **more: Any) -> Principal:
    return Principal(id, USER, id, more.pop("role", Role.USER), owner_id=id, **more)


def bucket(id: int = 1, events: int | None = None, size: int | None = None) -> Bucket:
    return Bucket(id, f"b{id}", "", None, NOW, Quota(events, size))
