"""Which blocks this process has out, and the task that keeps their leases from running out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence

from headrace.errors import Unavailable

_log = logging.getLogger(__name__)

LEASE_SECONDS = 15.0  # by the database's clock; others have the blocks of a process that died so much later
_RENEW_SECONDS = 5.0


class Leases:
    """`renew` gives those of the seqs that are still ours, and raises Unavailable."""

    def __init__(self, renew: Callable[[Sequence[int]], Awaitable[Iterable[int]]]) -> None:
        self._renew = renew
        self._out: set[int] = set()
        self._task: asyncio.Task[None] | None = None

    def add(self, seqs: Iterable[int]) -> None:
        """These are out."""
        self._out.update(seqs)
        if self._out and self._task is None:
            self._task = asyncio.create_task(self._keep(), name="leases")

    def drop(self, seqs: Iterable[int]) -> None:
        """These are not ours any more."""
        self._out.difference_update(seqs)

    async def close(self) -> Sequence[int]:
        """Renew no more; what is still out."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        return sorted(self._out)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            asked = sorted(self._out)
            if not asked:
                continue
            try:
                lost = set(asked).difference(await self._renew(asked)) & self._out
            except Unavailable as exc:
                _log.warning("the leases of %d blocks cannot be renewed: %s", len(asked), exc.detail)
                continue
            if lost:  # we were stopped for long: another has them, and the store skips the second of two
                _log.warning("%d leases ran out before their blocks were stored", len(lost))
                self._out -= lost
