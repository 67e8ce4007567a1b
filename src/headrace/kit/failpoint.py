"""Named points at which a test can have the process killed, as a power cut would: `reach("queue.before_commit")`.

Off, as it always is in service, `reach` is an empty function, chosen once at import. It is the one thing besides
`config.py` that looks at the environment: HEADRACE_FAILPOINT=name dies at the first passage, name:3 at the third.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable


def _nothing(name: str) -> None:
    """Off."""


def armed(spec: str) -> Callable[[str], None]:
    """The `reach` for `name` or `name:N`. Raises ValueError when N is not a number from 1 on."""
    target, _, passage = spec.partition(":")
    left = int(passage or 1)
    if left < 1:
        raise ValueError(f"{spec!r}: the passage counts from 1")

    def reach_or_die(name: str) -> None:
        nonlocal left
        if name == target:
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

    return reach_or_die


_spec = os.environ.get("HEADRACE_FAILPOINT", "")
reach: Callable[[str], None] = armed(_spec) if _spec else _nothing
