"""Who may ask now: rate limits and quotas of a key, its owner, a bucket and an address, checked before any work.

A request is let in while there are tokens, pays one of them at once (so that no flood at one moment slips through) and
the rest when its events are accepted: that may leave debts, which the next requests wait for. Tokens are leased from
the limiter, that all processes share, in chunks of a tenth: letting in and charging are then sums in memory, 0.2 µs
without a limit and under 1 µs with one. While the limiter cannot be reached, limits go on in each process for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from headrace.errors import OverQuota, Unavailable
from headrace.kit.addresses import limited_as
from headrace.kit.times import DAY, SECOND
from headrace.kit.token_bucket import DebtBucket
from headrace.metering.usage import DayTotal, Tally, UsageMeter
from headrace.model.bucket import Bucket
from headrace.model.principal import USER, Principal
from headrace.ports.clock import Clock
from headrace.ports.limiter import Lease, Limit, Limiter

KEY, OWNER, BUCKET, ADDRESS = "key", "user", "bucket", "address"
"""The names of the limits, as clients see them; those of a day have `-day` behind."""
_CHUNKS = 10  # of a limit: at most a tenth of it lies unused in one process
_ALONE_SECONDS = 1.0  # before a limiter that could not be reached is asked again
_KEEP_SECONDS = 60.0
_MOST = 4_096  # tickets, or allowances, before those that nobody needs are looked for
_DAY_SECONDS = DAY // SECOND


@dataclass(frozen=True, slots=True)
class GateOptions:
    """Limits in events or requests a second for those without one of their own; 0: none."""

    key: int = 0
    user: int = 0
    address: int = 0


class Allowance:
    """Tokens of one limit that this process holds; below zero it owes them."""

    __slots__ = ("alone", "closed_until", "key", "leasing", "left", "limit", "seen")

    def __init__(self, key: str, limit: Limit) -> None:
        self.key = key
        self.limit = limit
        self.left = 0
        self.closed_until = 0.0
        self.seen = 0.0
        self.leasing: asyncio.Task[None] | None = None
        self.alone: DebtBucket | None = None


class Ticket(Tally):
    """What one credential may do now, in one bucket (or none): every limit that applies, at hand."""

    __slots__ = ("bucket", "days", "limited", "principal", "rates", "totals")

    def __init__(
        self,
        principal: Principal,
        bucket: Bucket | None,
        rates: tuple[Allowance, ...],
        days: tuple[tuple[str, int, DayTotal], ...],
        meter: UsageMeter,
    ) -> None:
        super().__init__(meter, 0 if bucket is None else bucket.id, principal.kind, principal.id)
        self.principal = principal
        self.bucket = bucket
        self.rates = rates
        self.days = days
        self.totals = tuple(total for _, _, total in days)
        self.limited = bool(rates or days)

    def charge(self, events: int, size: int) -> None:
        """Events that were accepted, with their bytes as JSON. The first was paid when the request was let in."""
        if not self.events:
            self.meter.open.append(self)
        self.events += events
        self.bytes += size
        if not self.limited:
            return
        for rate in self.rates:
            rate.left -= events - 1
        for total in self.totals:
            total.charged += size

    def charge_rates(self, tasks: int) -> None:
        """Tasks that were accepted. They count against rates alone: usage, and what a day may have, are of events."""
        for rate in self.rates:
            rate.left -= tasks - 1


class Gate:
    """`admit` never waits, and says None where `enter` may have to. Both let in one request and take a token."""

    def __init__(self, limiter: Limiter, clock: Clock, options: GateOptions, meter: UsageMeter) -> None:
        self._limiter = limiter
        self._monotonic = clock.monotonic
        self._options = options
        self._meter = meter
        self._tickets: dict[int, dict[int, Ticket]] = {}
        """By the identity of principal and bucket, which their tickets keep alive; they have no hash."""
        self._issued = 0
        self._allowances: dict[str, Allowance] = {}
        self._keep_until = 0.0
        self._sweep_at = _MOST
        self._alone_until = 0.0
        self.limits_addresses = options.address > 0
        """Whether `enter_address` is to be called at all."""

    def admit(self, principal: Principal, bucket: Bucket | None) -> Ticket | None:
        """The ticket of a request that is let in, if that is clear at once."""
        try:
            ticket = self._tickets[id(principal)][id(bucket)]
        except KeyError:
            return None
        if not ticket.limited:
            return ticket
        for rate in ticket.rates:
            if rate.left < 1:
                return None
        for _, most, total in ticket.days:
            if total.charged + total.others >= most:
                return None
        for rate in ticket.rates:
            rate.left -= 1
        return ticket

    async def enter(self, principal: Principal, bucket: Bucket | None) -> Ticket:
        """The ticket of a request that is let in. Raises OverQuota."""
        ticket = self._tickets.get(id(principal), {}).get(id(bucket)) or await self._issue(principal, bucket)
        self._check_days(ticket)
        await self._take(ticket.rates)
        return ticket

    async def enter_address(self, address: str) -> None:
        """One request from this address, whoever it is from. Raises OverQuota."""
        if self.limits_addresses:
            await self._take((self._allowance(ADDRESS, limited_as(address), self._options.address),))

    # --- days -------------------------------------------------------------------------------------------------------

    def _check_days(self, ticket: Ticket) -> None:
        if not ticket.days:
            return
        self._meter.look_at_day()
        for name, most, total in ticket.days:
            if total.charged + total.others >= most:
                raise OverQuota(
                    f"The {most} bytes a day of this {name} are used up: go on after midnight UTC, or ask for more.",
                    retry_after=self._meter.seconds_left(),
                    policy=f"{name}-day",
                    quota=most,
                    window=_DAY_SECONDS,
                    unit="content-bytes",
                )

    # --- rates ------------------------------------------------------------------------------------------------------

    async def _take(self, rates: tuple[Allowance, ...]) -> None:
        """One token of each, or none of any."""
        while (short := next((rate for rate in rates if rate.left < 1), None)) is not None:
            await self._lease(short)
        for rate in rates:
            rate.left -= 1

    async def _lease(self, rate: Allowance) -> None:
        """Wait for a lease, one for all who wait. Raises OverQuota."""
        wait = rate.closed_until - self._monotonic()
        if wait > 0:
            owed = max(0, -rate.left)  # since the limiter said how long: charged meanwhile
            raise _too_fast(rate, wait + owed * rate.limit.seconds / rate.limit.count)
        if rate.leasing is None:
            rate.leasing = asyncio.create_task(self._fetch(rate))
            rate.leasing.add_done_callback(_look_at)
        await asyncio.shield(rate.leasing)  # one who hangs up must not fail the others

    async def _fetch(self, rate: Allowance) -> None:
        limit, owed = rate.limit, max(0, -rate.left)
        rate.left += owed
        try:
            lease = await self._ask(rate, limit, max(1, limit.count // _CHUNKS), owed)
        except BaseException:
            rate.left -= owed
            raise
        finally:
            rate.leasing = None
        rate.left += lease.tokens
        rate.closed_until = 0.0 if lease.tokens else self._monotonic() + lease.retry_after

    async def _ask(self, rate: Allowance, limit: Limit, want: int, owed: int) -> Lease:
        if self._monotonic() >= self._alone_until:
            try:
                lease = await self._limiter.lease(rate.key, limit, want, owed)
            except Unavailable:
                self._alone_until = self._monotonic() + _ALONE_SECONDS
            else:
                rate.alone = None
                return lease
        now = self._monotonic()
        if rate.alone is None:
            rate.alone = DebtBucket(limit.count, now)
        return Lease(*rate.alone.lease(now, limit.count, limit.seconds, want, owed))

    # --- what applies -----------------------------------------------------------------------------------------------

    async def _issue(self, principal: Principal, bucket: Bucket | None) -> Ticket:
        self._sweep()
        rates = tuple(self._allowance(*rate) for rate in self._rates(principal, bucket) if rate[2])
        owner = principal.owner_id
        days: list[tuple[str, int, DayTotal]] = []
        if bucket is not None and owner is not None and (most := principal.owner_quota.bytes_per_day):
            days.append((OWNER, most, await self._meter.total("user", owner)))
        if bucket is not None and (most := bucket.quota.bytes_per_day):
            days.append((BUCKET, most, await self._meter.total("bucket", str(bucket.id))))
        ticket = Ticket(principal, bucket, rates, tuple(days), self._meter)
        self._issued += 1
        mine = self._tickets.setdefault(id(principal), {})
        return mine.setdefault(id(bucket), ticket)

    def _rates(self, principal: Principal, bucket: Bucket | None) -> Iterator[tuple[str, str, int]]:
        """(which limit, of whom, how many a second), 0 for no limit. A user's own token has none beside the user's."""
        if principal.kind != USER:
            yield KEY, principal.id, principal.rate_limit or self._options.key
        if principal.owner_id is not None:
            yield OWNER, principal.owner_id, principal.owner_quota.events_per_second or self._options.user
        if bucket is not None:
            yield BUCKET, str(bucket.id), bucket.quota.events_per_second or 0

    def _allowance(self, name: str, id: str, count: int) -> Allowance:
        key = f"{name}:{id}"
        rate = self._allowances.get(key)
        if rate is None:
            self._sweep()
            rate = self._allowances[key] = Allowance(key, Limit(name, count, 1))
        elif rate.limit.count != count:  # changed since: what is held was leased under the old limit
            rate.limit = Limit(name, count, 1)
            rate.left = min(rate.left, max(1, count // _CHUNKS))
            rate.closed_until = 0.0
        rate.seen = self._monotonic()
        return rate

    def _sweep(self) -> None:
        """Drop tickets now and then: principals and buckets are new objects every few seconds; and idle allowances."""
        now = self._monotonic()
        if now < self._keep_until and self._issued + len(self._allowances) < self._sweep_at:
            return
        self._keep_until = now + _KEEP_SECONDS
        self._tickets.clear()
        self._issued = 0
        self._allowances = {key: rate for key, rate in self._allowances.items() if _is_in_use(rate, now)}
        self._sweep_at = max(_MOST, 2 * len(self._allowances))


def _is_in_use(rate: Allowance, now: float) -> bool:
    """Whether it owes, is closed, or may be charged yet by a request that was let in (one of an address never is)."""
    limit, alone = rate.limit, rate.alone
    return (
        rate.left < 0
        or rate.leasing is not None
        or rate.closed_until > now
        or (alone is not None and alone.full_at(limit.count, limit.seconds) > now)
        or (limit.name != ADDRESS and now - rate.seen < _KEEP_SECONDS)
    )


def _too_fast(rate: Allowance, wait: float) -> OverQuota:
    limit = rate.limit
    what = "requests" if limit.name == ADDRESS else "events or requests"
    return OverQuota(
        f"This {limit.name} may make {limit.count} {what} a second: send slower, and again in {max(0.1, wait):.1f} s.",
        retry_after=wait,
        policy=limit.name,
        quota=limit.count,
        window=limit.seconds,
    )


def _look_at(task: asyncio.Task[None]) -> None:
    """Everyone who waited may have gone: an exception that nobody fetched is not worth a warning."""
    if not task.cancelled():
        task.exception()
