"""A log of attempts: when each was, and under which key. It counts exactly in any window, which no counter does."""

from __future__ import annotations

from collections import deque

AttemptLog = deque[tuple[float, str]]
"""Oldest first; one that several keys share holds the attempts of all of them."""


def seconds_until_room(log: AttemptLog, count: int, seconds: float, now: float) -> float:
    """For one more in any window of `seconds`; 0.0: now. Forgets what lies before the window. A limit that was lowered
    holds at once."""
    while log and log[0][0] + seconds <= now:
        log.popleft()
    over = len(log) - count
    return 0.0 if over < 0 else log[over][0] + seconds - now


def newest_of(log: AttemptLog, key: str) -> int | None:
    """The place of the newest attempt of this key."""
    return next((at for at in range(len(log) - 1, -1, -1) if log[at][1] == key), None)
