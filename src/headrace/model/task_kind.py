"""What is known of a type of tasks that has a handler here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from headrace.errors import ItemError
from headrace.model.principal import Principal
from headrace.model.task import DEFAULT_ATTEMPTS, Retry

DEFAULT_TIMEOUT = 600.0  # seconds; long enough for what is no loop, short enough to notice one
DEFAULT_RETRY = Retry()


@dataclass(frozen=True, slots=True)
class TaskKind:
    """`check` says what is wrong with args (a JSON object as bytes); `field` of an ItemError is a path such as
    `args.a`. `house`: run in the server itself, which alone can reach what it needs."""

    name: str
    check: Callable[[bytes], Sequence[ItemError]]
    retry: Retry = DEFAULT_RETRY
    timeout: float = DEFAULT_TIMEOUT
    house: bool = False
    description: str = ""
    max_attempts: int = DEFAULT_ATTEMPTS
    """Of tasks that do not bring their own."""
    permit: Callable[[Principal, bytes], Awaitable[None]] | None = None
    """Whether a caller may submit one with these args, where not everybody may. Raises NotFound or Forbidden."""
