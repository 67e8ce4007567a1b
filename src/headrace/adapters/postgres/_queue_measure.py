"""How much waits in the queue: measured now and then, and kept up with what this process did since.

Own puts count from the moment they begin, so that this process alone never passes the bound. What others put is known
half a second later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from headrace.model.block import Block

_FRESH_SECONDS = 0.5
_COST = 20  # a measurement that took long is good for so many times longer: 5 % of the time, however much waits
_LONGEST_SECONDS = 5.0  # but no longer: it may be the network that was slow, and others ack meanwhile


class Amount(NamedTuple):
    blocks: int
    events: int
    bytes: int


class Measure:
    """`ask` raises Unavailable. The amounts are exact whenever nothing was under way during the last measurement."""

    def __init__(self, ask: Callable[[], Awaitable[tuple[Amount, int | None]]]) -> None:
        """`ask` gives what the table holds, and the id of the oldest block."""
        self._ask = ask
        self._loop = asyncio.get_running_loop()
        self._asking: asyncio.Task[None] | None = None
        self._fresh_until = 0.0
        self._reserved = 0
        self._put_meanwhile = Amount(0, 0, 0)
        self.amount = Amount(0, 0, 0)
        """What is committed, as far as we know."""
        self.oldest: int | None = None

    @property
    def bytes(self) -> int:
        """With those that are being put."""
        return self.amount.bytes + self._reserved

    async def refresh(self, patience: float | None = None) -> None:
        """Measure, unless that was done just now; after `patience` seconds be content with what is known already.

        Raises Unavailable.
        """
        if self._asking is None:
            if self._loop.time() < self._fresh_until:
                return
            self._asking = asyncio.create_task(self._measure())
            self._asking.add_done_callback(_look_at)
        asking = self._asking
        if patience is not None and self._fresh_until:
            await asyncio.wait({asking}, timeout=patience)
            if not asking.done():
                return
        await asyncio.shield(asking)  # a caller who leaves must not stop it for others

    def begin(self, size: int) -> None:
        """A put begins; `end` must follow."""
        self._reserved += size

    def end(self, size: int, stored: Block | None) -> None:
        """It has ended, and stored this."""
        self._reserved -= size
        if stored is not None:
            if not self.amount.blocks:
                self.oldest = stored.id
            put = Amount(1, stored.events, size)
            self.amount = _sum(self.amount, put)
            self._put_meanwhile = _sum(self._put_meanwhile, put)

    def forget(self, acked: Amount) -> None:
        """These are gone."""
        self.amount = Amount(*(max(0, have - gone) for have, gone in zip(self.amount, acked, strict=True)))

    async def _measure(self) -> None:
        try:
            self._put_meanwhile = Amount(0, 0, 0)
            began = self._loop.time()
            found, self.oldest = await self._ask()
            took = self._loop.time() - began
            # Whether it saw what was put meanwhile is unknown: too much for half a second is better than too little.
            self.amount = _sum(found, self._put_meanwhile)
            self._fresh_until = began + took + min(max(_FRESH_SECONDS, _COST * took), _LONGEST_SECONDS)
        finally:
            self._asking = None


def _look_at(asking: asyncio.Task[None]) -> None:
    """Everyone who waited may have gone: an exception that nobody fetched is not worth a warning."""
    if not asking.cancelled():
        asking.exception()


def _sum(one: Amount, other: Amount) -> Amount:
    return Amount(one.blocks + other.blocks, one.events + other.events, one.bytes + other.bytes)
