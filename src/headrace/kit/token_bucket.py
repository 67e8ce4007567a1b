"""A token bucket: so many at once, so many a second after that."""

from __future__ import annotations

from collections.abc import Callable


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
