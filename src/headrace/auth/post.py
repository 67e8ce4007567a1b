"""The mail that waits to be sent. It never delays the request that caused it, and never fails it.

It waits in memory: what a killed process had not sent yet is lost, and people ask for their link again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from headrace.errors import HeadraceError, Unavailable
from headrace.model.metric import MAILS_SENT
from headrace.ports.clock import Clock
from headrace.ports.metrics import Metrics
from headrace.ports.notifier import Mail, Notifier

_MOST = 1_000  # about 1 KB each
_AT_ONCE = 4  # a mail server that hangs takes 20 s for each: the others need not wait behind it
_PAUSES = (1.0, 10.0, 60.0, 300.0)  # seconds after each try; greylisting wants five minutes
_LAST_SECONDS = 2.0

_log = structlog.get_logger("headrace.auth")


Draft = Callable[[], Awaitable[Mail]]
"""Writes a mail when its turn comes, so that the request does not show by its time whether there is one."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    mail: Mail | Draft
    tries: int = 0
    due: float = 0.0


class Post:
    """`put` from anywhere, `step` from one loop."""

    def __init__(
        self,
        notifier: Notifier,
        metrics: Metrics,
        clock: Clock,
        *,
        most: int = _MOST,
        last_seconds: float = _LAST_SECONDS,
    ) -> None:
        self._notifier = notifier
        self._metrics = metrics
        self._clock = clock
        self._most = most
        self._last_seconds = last_seconds
        self._waiting: deque[_Waiting] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._closed = False

    def put(self, mail: Mail | Draft) -> None:
        """Have it sent soon. When too many wait already it is refused, which the log and a metric tell."""
        if self._closed or len(self._waiting) + len(self._under_way) >= self._most:
            self._metrics.add(MAILS_SENT, 1, "refused")
            _log.warning("a mail was refused: too many wait", subject=_subject(mail), waiting=len(self._waiting))
            return
        self._waiting.append(_Waiting(mail))

    async def step(self) -> int:
        """Try what is due, a few at once; how many were tried. Never raises for a mail that cannot be sent."""
        due = self._take()
        if due:
            await self._send(due)
        return len(due)

    async def close(self) -> None:
        """Take no more, and try what waits for 2 s at most. What is left then is lost, as the log says."""
        self._closed = True
        try:
            async with asyncio.timeout(self._last_seconds):
                await self._finish()
        except TimeoutError:
            for task in self._under_way:
                task.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way)
        if self._waiting:
            self._metrics.add(MAILS_SENT, len(self._waiting), "lost")
            _log.warning("mails were lost: they could not be sent before the end", mails=len(self._waiting))
            self._waiting.clear()

    async def _finish(self) -> None:
        """Everything gets one more try, due or not, with what a loop has under way already."""
        last = list(self._waiting)
        self._waiting.clear()
        while last or self._under_way:
            batch, last = last[:_AT_ONCE], last[_AT_ONCE:]
            try:
                await self._send(batch)
            except asyncio.CancelledError:
                self._waiting.extend(last)
                raise

    def _take(self) -> list[_Waiting]:
        now = self._clock.monotonic()
        due = [one for one in self._waiting if one.due <= now][:_AT_ONCE]
        for one in due:
            self._waiting.remove(one)
        return due

    async def _send(self, batch: list[_Waiting]) -> None:
        for one in batch:
            task = asyncio.create_task(self._try(one), name="mail")
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        if self._under_way:
            await asyncio.wait(set(self._under_way))

    async def _try(self, one: _Waiting) -> None:
        try:
            if not isinstance(one.mail, Mail):
                one = _Waiting(await one.mail(), one.tries)
            assert isinstance(one.mail, Mail)
            await self._notifier.send(one.mail)
        except Unavailable as exc:
            self._put_back(one, exc)
        except asyncio.CancelledError:
            self._waiting.append(one)  # close() counts it as lost
        except HeadraceError as exc:
            self._give_up(one, exc.detail)
        except Exception as exc:  # noqa: BLE001  # a defect at one mail must not stop the others
            self._give_up(one, type(exc).__name__)
        else:
            self._metrics.add(MAILS_SENT, 1, "sent")

    def _put_back(self, one: _Waiting, exc: Unavailable) -> None:
        if one.tries >= len(_PAUSES):
            self._give_up(one, exc.detail)
            return
        pause = _PAUSES[one.tries]
        _log.warning("a mail could not be sent, trying again", reason=exc.detail, tries=one.tries + 1, seconds=pause)
        self._waiting.append(_Waiting(one.mail, one.tries + 1, self._clock.monotonic() + pause))

    def _give_up(self, one: _Waiting, reason: str) -> None:
        self._metrics.add(MAILS_SENT, 1, "failed")
        _log.warning("a mail was given up", subject=_subject(one.mail), reason=reason, tries=one.tries + 1)


def _subject(mail: Mail | Draft) -> str:
    """For the log, where no address belongs."""
    return mail.subject if isinstance(mail, Mail) else "not written yet"
