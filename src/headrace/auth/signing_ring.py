"""The keys that sign and verify our tokens, in memory: read again now and then, and good while they cannot be.

A key that was rotated out signs no more after 5 s in any process, and verifies until its last token has expired.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.auth.sealing import Sealer
from headrace.auth.token_claims import LEEWAY_SECONDS, LONGEST_SECONDS
from headrace.errors import Unavailable
from headrace.kit.times import SECOND
from headrace.model.account import SigningKey
from headrace.ports.clock import Clock
from headrace.ports.signing_keys import SigningKeys

if TYPE_CHECKING:
    from headrace.auth.eddsa import TokenKey

_log = logging.getLogger(__name__)

FRESH_SECONDS = 5.0
_SEARCH_SECONDS = 1.0  # between two looks for ids that are not known: what a flood of made-up ones costs
RETAINED = (LONGEST_SECONDS + LEEWAY_SECONDS) * SECOND
"""For how long (µs) a retired key has tokens that are still good."""


@dataclass(frozen=True, slots=True)
class Held:
    """A key as stored and, unless it was sealed with another secret, as it works."""

    stored: SigningKey
    key: TokenKey | None


class SigningRing:
    """Raises Unavailable when the keys it needs were never read, and cannot be now."""

    def __init__(self, signing_keys: SigningKeys, sealer: Sealer, clock: Clock) -> None:
        self._port = signing_keys
        self._sealer = sealer
        self._clock = clock
        self._held: dict[str, Held] = {}
        self._read_at: float | None = None
        self._tried_at = float("-inf")
        self._searched_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._failed = False

    async def signer(self) -> TokenKey:
        """The newest key that signs."""
        await self.refresh()
        newest = self.newest()
        if newest is None or newest.key is None:
            raise Unavailable("No key that signs tokens can be used now.")
        return newest.key

    def newest(self) -> Held | None:
        """The newest that is not retired, be it of use to us or not."""
        return next((held for held in self._held.values() if held.stored.retired_at is None), None)

    async def verifier(self, kid: str) -> TokenKey | None:
        """The key of this id; None when there is none, or only one that was retired long ago."""
        held = self._held.get(kid)
        if held is None:
            held = await self._search(kid)
        elif self._is_stale() and self._reading is None:
            self._begin()  # nobody has to wait for it
        return held.key if held is not None and self._verifies(held) else None

    async def published(self) -> list[TokenKey]:
        """Those that verify, newest first."""
        await self.refresh()
        return [held.key for held in self._held.values() if held.key is not None and self._verifies(held)]

    async def forgettable(self, before: int) -> int:
        """How many were retired before this time (µs)."""
        await self.refresh()
        retired = (held.stored.retired_at for held in self._held.values())
        return sum(at is not None and at < before for at in retired)

    async def refresh(self) -> None:
        """Read the keys unless that was done less than 5 s ago; when it cannot be done, those at hand stay good."""
        if self._read_at is not None and not self._is_stale():
            return
        try:
            await self._join()
        except Unavailable:
            if self._read_at is None:
                raise

    async def reload(self) -> None:
        """Read the keys now: the caller has just changed them, so what is being read already does not count."""
        await self._wait()
        await self._join()

    def expire(self) -> None:
        """Have them read again before the next is used to sign."""
        self._tried_at = float("-inf")

    async def _search(self, kid: str) -> Held | None:
        """An id that we do not know may be of a key that another process has just made."""
        await self._wait()  # it may have asked before the key was there, so it does not count as a look for this one
        now = self._clock.monotonic()
        if kid not in self._held and now >= self._searched_at + _SEARCH_SECONDS:
            self._searched_at = now
            self._begin()
        await self._wait()
        if kid not in self._held and self._failed:  # a 401 would have the client throw away what may be good
            raise Unavailable("The keys of tokens cannot be read now.")
        return self._held.get(kid)

    async def _wait(self) -> None:
        """For what is being read, however it ends."""
        if self._reading is not None:
            await asyncio.wait([self._reading])

    async def _join(self) -> None:
        await asyncio.shield(self._reading or self._begin())  # one impatient caller must not fail the others

    def _begin(self) -> asyncio.Task[None]:
        self._tried_at = self._clock.monotonic()
        self._reading = asyncio.ensure_future(self._read(self._tried_at))
        self._reading.add_done_callback(self._ended)
        return self._reading

    async def _read(self, began: float) -> None:
        self._failed = True  # until it went well
        rows = await self._port.list_signing_keys()
        self._held = {row.id: self._hold(row) for row in rows}
        self._read_at, self._failed = began, False

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._reading is task:
            self._reading = None
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, Unavailable):
            _log.error("the keys of tokens could not be read", exc_info=error)

    def _hold(self, row: SigningKey) -> Held:
        before = self._held.get(row.id)
        if before is not None and before.stored.sealed == row.sealed:
            return Held(row, before.key)
        from headrace.auth.eddsa import TokenKey

        private_jwk = self._sealer.unseal(row.sealed)
        try:
            return Held(row, TokenKey.read(row.id, private_jwk or b""))
        except ValueError:
            _log.warning("signing key %s cannot be unsealed: it was made with another secret key", row.id)
            return Held(row, None)

    def _is_stale(self) -> bool:
        return self._clock.monotonic() >= self._tried_at + FRESH_SECONDS

    def _verifies(self, held: Held) -> bool:
        at = held.stored.retired_at
        return at is None or self._clock.now() < at + RETAINED
