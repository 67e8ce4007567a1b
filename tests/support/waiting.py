"""What becomes so after a while, on a machine however busy."""

from __future__ import annotations

import time
from collections.abc import Callable


def becomes(is_so: Callable[[], bool], *, within: float, step: float = 0.1) -> None:
    """Ask until it is so. What is asked after `within` seconds has to be: an answer that only came late fails nothing.

    Raises AssertionError.
    """
    deadline = time.monotonic() + within
    while True:
        is_late = time.monotonic() >= deadline
        if is_so():
            return
        assert not is_late, f"it is not so after {within} s"
        time.sleep(step)
