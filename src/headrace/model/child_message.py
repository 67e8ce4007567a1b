"""What a crew and its child processes say to each other. Both are the same version of the program, so nothing here has
to be read by another one. Tasks have numbers here: small ones, made by the crew, each used once by a child."""

from __future__ import annotations

from typing import Final

import msgspec

from headrace.model.task import Ending

ENDINGS: Final = tuple(Ending)
"""An ending travels as its place in this list."""
PLACES: Final = {ending: place for place, ending in enumerate(ENDINGS)}
MAX_PROGRESS_BYTES: Final = 64 * 1024
MAX_LINE_BYTES: Final = 8 * 1024  # of a message; as much again for its attributes
MAX_LOG_BYTES: Final = 1024 * 1024  # of one attempt; a handler that logs in a loop fills no journal
MAX_ERROR_LETTERS: Final = 4_000


class Setup(msgspec.Struct, frozen=True, array_like=True):
    """The first message to a child. `parent` is the process id of whoever started it."""

    parent: int
    modules: tuple[str, ...]
    concurrency: int
    networks: tuple[str, ...]


class Begin(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Run this task. `id` is the UUID's 16 bytes."""

    number: int
    id: bytes
    type: str
    args: bytes
    attempt: int
    lease: int
    timeout: float


class Orders(msgspec.Struct, frozen=True, array_like=True):
    """What is to be begun, and the numbers of the tasks that are asked to stop."""

    begin: list[Begin] = []
    stop: list[int] = []


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """The first message from a child: its types of tasks and their timeouts, or why it cannot work."""

    timeouts: dict[str, float]
    fault: str = ""


class Line(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A handler wrote a line. `attributes` is a JSON object, or empty."""

    number: int
    time: int
    level: str
    message: str
    attributes: bytes


class End(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An attempt is over. `ending` is a place in ENDINGS."""

    number: int
    ending: int
    result: bytes | None = None
    error: str | None = None
    retry_after: float | None = None


class News(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """What has happened in a child during one turn of its loop. `progress` maps numbers to JSON. `stuck` are past their
    timeout in a thread, which nothing but the end of the process ends."""

    lines: list[Line]
    progress: dict[int, bytes]
    ended: list[End]
    stuck: list[int]


Message = Hello | News
