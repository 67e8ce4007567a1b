"""Limits that all processes share: tokens to spend, leased in chunks, and attempts that are counted exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Limit:
    """So many in so many seconds. `name` tells clients which limit it was (`RateLimit-Policy`)."""

    name: str
    count: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Lease:
    """Tokens that may be spent; when there are none, seconds until there will be one."""

    tokens: int
    retry_after: float


class Limiter(Protocol):
    """Raises Unavailable when what counts cannot be reached: callers then go on with limits of their own process."""

    async def lease(self, key: str, limit: Limit, want: int, owed: int = 0) -> Lease:
        """Up to `want` tokens of a bucket that holds `limit.count` at most and refills in `limit.seconds`.

        `owed` were spent already without a lease and are taken first, below zero if need be; while it is below zero
        nothing is leased.
        """

    async def attempt(self, key: str, limit: Limit) -> float:
        """Count one attempt, if there is room: 0.0; else count nothing, and the seconds until there is room.

        Exact: of any number at once, `limit.count` pass in any window of `limit.seconds`.
        """

    async def peek(self, key: str, limit: Limit) -> float:
        """What `attempt` would say, without counting."""

    async def forgive(self, key: str, limit: Limit) -> None:
        """Forget all attempts under this key (after the right password)."""

    async def give_back(self, key: str, limit: Limit) -> None:
        """Take one attempt of this key back, the newest, as if it had not been counted; without any, do nothing.

        For attempts that turned out to be none of those that are limited: an address that many people share must not
        be locked out by their successful logins. Of several at once each takes back one of its own.
        """
