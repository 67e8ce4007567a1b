"""Token buckets: so many at once, so many a second after that."""

from __future__ import annotations

from collections.abc import Callable

_ROUNDING = 1e-6  # of a token: whoever waits exactly as long as told must find one


class TokenBucket:
    """Holds at most `size` tokens and gains `per_second`; starts full. `monotonic` gives seconds that never go back."""

    def __init__(self, size: float, per_second: float, monotonic: Callable[[], float]) -> None:
        self._size = size
        self._per_second = per_second
        self._monotonic = monotonic
        self._tokens = size
        self._counted = monotonic()

    def take(self) -> bool:
        """Take one token, if there is one."""
        now = self._monotonic()
        self._tokens = min(self._size, self._tokens + (now - self._counted) * self._per_second)
        self._counted = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class DebtBucket:
    """A token bucket that hands out tokens in chunks and may owe some: what was spent before it was asked for.

    It knows no clock and no size: `now` is in seconds that never go back, and a size that changes counts from then on.
    """

    __slots__ = ("counted", "tokens")

    def __init__(self, tokens: float, now: float) -> None:
        """`tokens` as they were counted at `now`."""
        self.tokens = tokens
        self.counted = now

    def lease(self, now: float, size: int, seconds: float, want: int, owed: int = 0) -> tuple[int, float]:
        """(tokens, 0.0), at most `want` of them; or (0, seconds until there will be one). `owed` are taken first."""
        per_second = size / seconds
        self.tokens = min(size, self.tokens + (now - self.counted) * per_second) - owed
        self.counted = now
        if self.tokens < 1 - _ROUNDING:
            return 0, (1 - self.tokens) / per_second
        given = min(want, int(self.tokens + _ROUNDING))
        self.tokens -= given
        return given, 0.0

    def full_at(self, size: int, seconds: float) -> float:
        """When it will be as good as new."""
        return self.counted + max(0.0, size - self.tokens) * seconds / size
