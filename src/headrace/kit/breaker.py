"""A circuit breaker: after some failures in a row a dependency is left alone for a while, then one call tries it again.

Whoever is refused is told at once, instead of waiting for a timeout that others wait for already. The pattern is
Nygard's (Release It!, 2007). Durations are of the monotonic clock, so a moved wall clock changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum


class State(StrEnum):
    CLOSED = "closed"
    """Calls go through."""
    OPEN = "open"
    """Calls are refused."""
    HALF_OPEN = "half-open"
    """One call tries; others are refused until it has ended."""


class Breaker:
    """Used from one thread. `watch()` goes around each call of the dependency."""

    def __init__(
        self,
        name: str,
        monotonic: Callable[[], float],
        refusal: Callable[[str], Exception],
        is_failure: Callable[[Exception], bool],
        *,
        failures: int = 5,
        seconds: float = 2.0,
        waited: float = 4.0,
        on_open: Callable[[], None] | None = None,
    ) -> None:
        """`name` tells people what is away; `seconds` is how long it is left alone after `failures` in a row, or after
        one that took `waited` seconds: whoever came next would wait as long. `refusal` makes what is raised meanwhile;
        `is_failure` tells errors of the dependency from answers of it.

        `on_open` is told when it opens. Then trials are up to whoever was told, in `trial`, and everybody else is
        refused until one has worked: a trial of something that hangs takes long.
        """
        self.name = name
        self._monotonic = monotonic
        self._refusal = refusal
        self.is_failure = is_failure
        self._failures = failures
        self._seconds = seconds
        self._waited = waited
        self._on_open = on_open
        self._failed = 0
        self._opened_at: float | None = None
        self._trying = False
        self._reason = ""

    @property
    def state(self) -> State:
        if self._opened_at is None:
            return State.CLOSED
        return State.HALF_OPEN if self._trying or self._left() <= 0 else State.OPEN

    @property
    def reason(self) -> str:
        """Why it is open; empty while it is closed."""
        return "" if self._opened_at is None else self._reason

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Around a call. Raises the refusal at once while the dependency is left alone.

        A call that was cancelled says nothing either way.
        """
        trial = self._enter()
        try:
            with self._judged():
                yield
        finally:
            if trial:
                self._trying = False

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Around the call of whoever was told by `on_open`: never refused."""
        self._trying = True
        try:
            with self._judged():
                yield
        finally:
            self._trying = False

    @contextmanager
    def _judged(self) -> Iterator[None]:
        began = self._monotonic()
        try:
            yield
        except Exception as exc:
            if self.is_failure(exc):
                self._fail(str(exc), self._monotonic() - began)
            else:
                self._succeed()
            raise
        else:
            self._succeed()

    def _enter(self) -> bool:
        """Whether this call is the trial."""
        if self._opened_at is None:
            return False
        if self._on_open is not None or self._trying or self._left() > 0:
            raise self._refusal(f"{self.name} is away, and left alone for a moment: {self._reason}")
        self._trying = True
        return True

    def _left(self) -> float:
        assert self._opened_at is not None
        return self._opened_at + self._seconds - self._monotonic()

    def _fail(self, reason: str, seconds: float) -> None:
        self._failed += 1
        self._reason = reason
        if self._opened_at is None and self._failed < self._failures and seconds < self._waited:
            return
        opens, self._opened_at = self._opened_at is None, self._monotonic()
        if opens and self._on_open is not None:
            self._on_open()

    def _succeed(self) -> None:
        self._failed = 0
        self._opened_at = None
