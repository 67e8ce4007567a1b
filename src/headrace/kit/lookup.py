"""A short memory in front of a slow source: bounded, never older than promised, one question at a time for each key."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_PATIENCE = 0.3  # seconds that a caller waits for a slow source while an answer that is out of date is at hand
_SLOW_SECONDS = 1.0  # for so long that answer is good then: the source is still being asked

@dataclass(slots=True)
class _Answer(Generic[V]):
    value: V
    confirmed: float
    good_until: float


class Lookup(Generic[K, V]):
    """Answers of `ask`, good for `fresh` seconds after the question was put; None means there is no such thing.

    While `ask` raises `failure` or takes long, an answer that was confirmed within the last `stale` seconds stays good.
    What is not there is remembered for `fresh` seconds, in a memory of its own (`absent` keys), so that no flood of
    unknown keys can drive out known ones; with 0 it is asked for each time.
    """

    def __init__(
        self,
        ask: Callable[[K], Awaitable[V | None]],
        monotonic: Callable[[], float],
        failure: type[Exception],
        *,
        fresh: float,
        stale: float,
        size: int,
        absent: int = 0,
    ) -> None:
        self._ask = ask
        self._monotonic = monotonic
        self._failure = failure
        self._fresh = fresh
        self._stale = stale
        self._size = size
        self._absent_size = absent
        self._known: dict[K, _Answer[V]] = {}
        self._absent: dict[K, float] = {}
        self._asking: dict[K, asyncio.Task[V | None]] = {}

    def cached(self, key: K) -> V | None:
        """A good answer that is at hand; None says nothing."""
        answer = self._known.get(key)
        return answer.value if answer is not None and self._monotonic() < answer.good_until else None

    def knows(self, key: K) -> bool:
        """Whether `key` was asked for before and is remembered, be it absent or out of date, or is being asked for."""
        return key in self._known or key in self._absent or key in self._asking

    def good_until(self, key: K) -> float:
        """Until when (monotonic seconds) the answer at hand is good; in the past when there is none."""
        answer = self._known.get(key)
        return answer.good_until if answer is not None else float("-inf")

    async def get(self, key: K) -> V | None:
        """The answer. Raises what `ask` raises, unless an answer that is not too old is at hand."""
        now = self._monotonic()
        answer = self._known.get(key)
        if answer is not None and now < answer.good_until:
            return answer.value
        if self._absent.get(key, now) > now:
            return None
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.ensure_future(self._ask_once(key))
            task.add_done_callback(_look_at)
        if answer is not None and now - answer.confirmed < self._stale:
            await asyncio.wait({task}, timeout=_PATIENCE)
            if not task.done() and self._known.get(key) is answer:
                answer.good_until = min(self._monotonic() + _SLOW_SECONDS, answer.confirmed + self._stale)
                return answer.value
        return await asyncio.shield(task)  # one impatient caller must not fail the others

    def put(self, key: K, value: V) -> None:
        """The caller has just changed it at the source: what is being asked now may be older."""
        self._asking.pop(key, None)
        self._keep(key, value, self._monotonic())

    def drop(self, key: K) -> None:
        """The caller has just removed it at the source."""
        self._asking.pop(key, None)
        self._known.pop(key, None)

    def drop_where(self, changed: Callable[[V], bool]) -> None:
        """The caller has just changed these at the source: nothing of them may be believed, not even when it fails."""
        self._asking.clear()
        self._absent.clear()
        for key in [key for key, answer in self._known.items() if changed(answer.value)]:
            del self._known[key]

    async def _ask_once(self, key: K) -> V | None:
        asked = self._monotonic()
        try:
            value = await self._ask(key)
        except self._failure:
            answer = self._known.get(key)
            now = self._monotonic()
            if answer is None or now - answer.confirmed >= self._stale:
                raise
            answer.good_until = min(now + self._fresh, answer.confirmed + self._stale)
            return answer.value
        else:
            if self._asking.get(key) is asyncio.current_task():
                self._keep(key, value, asked)
            return value
        finally:
            if self._asking.get(key) is asyncio.current_task():
                del self._asking[key]

    def _keep(self, key: K, value: V | None, asked: float) -> None:
        self._known.pop(key, None)  # so that the longest unconfirmed is first, and goes first
        self._absent.pop(key, None)
        if value is not None:
            self._known[key] = _Answer(value, asked, asked + self._fresh)
            if len(self._known) > self._size:
                del self._known[next(iter(self._known))]
        elif self._absent_size:
            self._absent[key] = asked + self._fresh
            if len(self._absent) > self._absent_size:
                del self._absent[next(iter(self._absent))]


def _look_at(task: asyncio.Task[V]) -> None:
    """Everyone who waited may have gone: an exception that nobody fetched is not worth a warning."""
    if not task.cancelled():
        task.exception()
