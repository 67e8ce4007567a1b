"""How long to wait before another attempt."""

from __future__ import annotations

import random


def backoff(attempt: int, first: float, factor: float, longest: float) -> float:
    """Seconds after the `attempt`-th try (from 1): exponential, of which a random half is left out, so that those who
    failed together do not come back together ("equal jitter": AWS Architecture Blog, Exponential Backoff and Jitter).
    """
    try:
        whole = min(longest, first * factor ** (attempt - 1))
    except OverflowError:
        whole = longest
    return whole / 2 + random.uniform(0, whole / 2)  # noqa: S311 - no secret
