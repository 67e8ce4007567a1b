"""Whoever runs handlers: child processes, or the server itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from headrace.model.task import Ending, Task


class Logged(msgspec.Struct, frozen=True, gc=False):
    """A handler wrote a line. `attributes` is a JSON object, or empty."""

    task: Task
    time: int
    level: str
    message: str
    attributes: bytes = b""


class Progress(msgspec.Struct, frozen=True, gc=False):
    """A handler said how far it is; `value` is JSON."""

    task: Task
    value: bytes


class Ended(msgspec.Struct, frozen=True, gc=False):
    """An attempt is over. `retry_after`: seconds that the handler itself asked for."""

    task: Task
    ending: Ending
    result: bytes | None = None
    error: str | None = None
    retry_after: float | None = None


Report = Logged | Progress | Ended


class Attempt(Protocol):
    """What a function of the server itself, that runs tasks, knows of its task and can say."""

    @property
    def task(self) -> Task:
        """The task, as it was claimed."""

    def progress(self, value: object) -> None:
        """How far it is: any JSON value."""

    def log(self, level: str, message: str, **attributes: object) -> None:
        """A line for the bucket `_tasks`."""


HouseHandler = Callable[[Attempt, Mapping[str, Any]], Awaitable[object]]
"""Gets the args as Python has them. A HeadraceError that is not Retriable ends the task as FAILED, a Retriable one and
all others with RETRY."""


class Crew(Protocol):
    """Runs what it is given, and reports. Every task that was given to `run` gets one Ended, whatever happens to the
    process that runs it: a handler that kills its process ends with RETRY, and its neighbours are begun anew."""

    @property
    def types(self) -> frozenset[str]:
        """What it has handlers for."""

    def room(self) -> int:
        """How many more tasks it takes now. Of short ones that may be more than run at once; what then has to wait for
        a second all the same ends as RELEASED."""

    def run(self, tasks: Sequence[Task]) -> None:
        """Begin these; none more than there is room for."""

    def stop(self, ids: Sequence[int], ending: Ending = Ending.CANCELLED) -> None:
        """Ask these to stop, by force if they do not within 10 s. They end as CANCELLED, or as RELEASED (the lease is
        lost, or we are shutting down); what succeeds or fails for good all the same ends as it did."""

    async def reports(self) -> Sequence[Report]:
        """What has happened since the last call; waits until something has."""

    async def close(self, seconds: float) -> None:
        """Let what runs finish for so long, then end it by force. `reports` then has what became of it."""
