"""How a handler says that an attempt did not go well. Every other exception means: try again as the policy says."""

from __future__ import annotations


class Failed(Exception):
    """It did not work, and would not another time: the task is `failed`, with this text as its error."""


class RetryLater(Exception):
    """It may work later: in `after` seconds, or when the retry policy says. It counts as an attempt."""

    def __init__(self, reason: str = "asked to be tried again", *, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = None if after is None else max(float(after), 0.0)


class Cancelled(Exception):
    """Raised by `Context.check` when the task is asked to stop: let it pass through the handler."""
