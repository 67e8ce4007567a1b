"""The guard at the doors where something can be guessed, or mail be sent to strangers: it counts before anyone works.

Counted first and given back after a success, the limits hold exactly however many try at once. An address is not
counted for what succeeds, so an office behind one address is never locked out by its people signing in.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from headrace.errors import OverQuota, Unavailable
from headrace.kit.addresses import limited_as
from headrace.ports.limiter import Limit, Limiter

T = TypeVar("T")


class Guard:
    """`account_limit` is per door and account name, whether there is such an account or not; `address_limit` per door
    and address (IPv6: /64). While the limiter is Unavailable `local`, a limiter of this process, counts instead;
    without one Unavailable goes to the caller."""

    def __init__(
        self, limiter: Limiter, account_limit: Limit, address_limit: Limit, local: Limiter | None = None
    ) -> None:
        self._limiter = limiter
        self._account_limit = account_limit
        self._address_limit = address_limit
        self._local = local

    async def enter(self, door: str, account: str | None, address: str) -> None:
        """Count one attempt, before any work is done for it. Raises OverQuota `too-many-attempts`: then nothing was
        counted, so that knocking at a closed door closes it for nobody else and no longer."""
        await self._count(_address_key(door, address), self._address_limit)
        if account is None:
            return
        try:
            await self._count(_account_key(door, account), self._account_limit)
        except OverQuota:
            await self._give_back(_address_key(door, address), self._address_limit)
            raise

    async def succeeded(self, door: str, account: str | None, address: str) -> None:
        """It was the right secret: the account's failures are forgiven, and the address was not charged."""
        if account is not None:
            await self.forgive(door, account)
        await self._give_back(_address_key(door, address), self._address_limit)

    @asynccontextmanager
    async def passing(self, door: str, account: str | None, address: str) -> AsyncIterator[None]:
        """`enter`. If what is done inside raises Unavailable, so that the caller learnt nothing, it counts for nothing:
        those who try again while a database is away must not find themselves locked out when it is back."""
        await self.enter(door, account, address)
        try:
            yield
        except Unavailable:
            await self._withdraw(door, account, address)
            raise

    async def forgive(self, door: str, account: str) -> None:
        """Forget the account's failures: whose account it is has been shown in another way."""
        with suppress(Unavailable):  # what stays counted ends with its window
            await self._ask(lambda limiter: limiter.forgive(_account_key(door, account), self._account_limit))

    async def _withdraw(self, door: str, account: str | None, address: str) -> None:
        if account is not None:
            await self._give_back(_account_key(door, account), self._account_limit)
        await self._give_back(_address_key(door, address), self._address_limit)

    async def _count(self, key: str, limit: Limit) -> None:
        seconds = await self._ask(lambda limiter: limiter.attempt(key, limit))
        if seconds > 0:
            raise OverQuota(
                f"Too many attempts: try again in {math.ceil(seconds)} seconds.",
                retry_after=seconds,
                code="too-many-attempts",
                policy=limit.name,
                quota=limit.count,
                window=limit.seconds,
            )

    async def _give_back(self, key: str, limit: Limit) -> None:
        with suppress(Unavailable):
            await self._ask(lambda limiter: limiter.give_back(key, limit))

    async def _ask(self, question: Callable[[Limiter], Awaitable[T]]) -> T:
        try:
            return await question(self._limiter)
        except Unavailable:
            if self._local is None:
                raise
            return await question(self._local)


def _account_key(door: str, account: str) -> str:
    """Names are as long as their senders like, and may be anything, even a mistyped password: keys are digests."""
    name = hashlib.sha256(account.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"{door}:account:{name}"


def _address_key(door: str, address: str) -> str:
    return f"{door}:address:{limited_as(address)}"
