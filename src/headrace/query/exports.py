"""The files that `events.export` made: who gets them, and when they go."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

import msgspec

from headrace.errors import Conflict, Forbidden, Gone, NotFound
from headrace.kit.ids import format_id
from headrace.kit.times import DAY, SECOND
from headrace.model.bucket import Bucket
from headrace.model.permission import view
from headrace.model.principal import Principal
from headrace.model.task import FINISHED, Status, Task
from headrace.ports.buckets import Buckets
from headrace.ports.clock import Clock
from headrace.ports.export_format import ExportFormat
from headrace.ports.tasks import Tasks
from headrace.query.export_folder import ExportFolder, Kept, pieces_of
from headrace.query.export_task import EXPORT_TYPE, ExportArgs

_ABANDONED_SECONDS = 3600.0  # a file in the making changes with each MiB of it

See = Callable[[Principal, str], Awaitable[Task]]
"""The task with this id, as this caller sees it. Raises NotFound."""


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """`chunks` opens the file when it is first asked: it costs nothing to leave it."""

    content_type: str
    file_name: str
    size: int
    chunks: AsyncIterator[bytes]


class Exports:
    """A file is for whoever sees its task and may read its bucket now: for all others it is not there."""

    def __init__(
        self,
        see: See,
        tasks: Tasks,
        buckets: Buckets,
        folder: ExportFolder,
        formats: Mapping[str, ExportFormat],
        clock: Clock,
        days: float,
    ) -> None:
        """`days`: for which finished tasks are kept, and their files with them."""
        self._see = see
        self._tasks = tasks
        self._buckets = buckets
        self._folder = folder
        self._formats = formats
        self._clock = clock
        self._days = days

    async def open(self, principal: Principal, id: str) -> ExportedFile:
        """Raises NotFound; Conflict while the task is unfinished, or when it did not succeed; Gone when the file is not
        on this machine (any more)."""
        task = await self._see(principal, id)
        if (args := _args_of(task)) is None:
            raise _unknown(task)
        bucket = await self._bucket(args.bucket, task)
        narrowed = _is_narrowed(principal, bucket, task)
        _check_status(task)
        chosen = self._formats[args.format]
        kept = await self._folder.find(task.id, chosen.extension)
        if kept is None or bucket.created_at > kept.changed_at * SECOND:
            raise _gone(task)
        if narrowed and not (kept.is_narrowed and task.owner == _owner(principal)):
            raise _unknown(task)  # it holds what this caller cannot see
        name = f"headrace-{bucket.name}.{chosen.extension}"
        return ExportedFile(chosen.content_type, name, kept.size, _chunks(kept, task))

    async def step(self) -> int:
        """Delete the files whose tasks are forgotten, whose buckets are gone, or that are older than tasks are kept;
        how many went. Raises Unavailable."""
        now = self._clock.now()
        gone = 0
        for kept in await self._folder.list():
            if await self._is_due(kept, now - round(kept.changed_at * SECOND)):
                await self._folder.delete(kept)
                gone += 1
        return gone

    async def _is_due(self, kept: Kept, age: int) -> bool:
        if kept.task_id is None:
            return age > _ABANDONED_SECONDS * SECOND
        if age > self._days * DAY:
            return True
        task = await self._tasks.get(kept.task_id)
        args = None if task is None else _args_of(task)
        if args is None:
            return True
        bucket = await self._buckets.find(args.bucket)
        return bucket is None or bucket.created_at > kept.changed_at * SECOND

    async def _bucket(self, name: str, task: Task) -> Bucket:
        bucket = await self._buckets.find(name)
        if bucket is None:
            raise _unknown(task)
        return bucket


def _args_of(task: Task) -> ExportArgs | None:
    """None: it is no export, or one of another version of this program."""
    if task.type != EXPORT_TYPE:
        return None
    try:
        return msgspec.json.decode(task.args, type=ExportArgs)
    except msgspec.MsgspecError:
        return None


def _is_narrowed(principal: Principal, bucket: Bucket, task: Task) -> bool:
    """Whether the caller sees but a part of the bucket. Raises NotFound for those who may read nothing of it."""
    try:
        return view(principal, bucket).within is not None
    except (NotFound, Forbidden):
        raise _unknown(task) from None


def _owner(principal: Principal) -> str:
    return principal.owner_id or principal.id


def _check_status(task: Task) -> None:
    shown = format_id(task.id)
    if task.status not in FINISHED:
        raise Conflict(f"The export {shown} is {task.status.value}: ask again when it is done.", code="unfinished")
    if task.status is not Status.SUCCEEDED:
        why = f"The export {shown} is {task.status.value} and made no file: its task says why."
        raise Conflict(why, code="task-state")


async def _chunks(kept: Kept, task: Task) -> AsyncIterator[bytes]:
    try:
        async for piece in pieces_of(kept):
            yield piece
    except FileNotFoundError:
        raise _gone(task) from None


def _unknown(task: Task) -> NotFound:
    return NotFound(f"There is no export {format_id(task.id)!r} that this credential may see.", code="unknown-export")


def _gone(task: Task) -> Gone:
    return Gone(
        f"The file of the export {format_id(task.id)} is not on this machine: its time has passed, or another machine "
        "made it and has it. Retry the task to make it anew.",
        code="export-gone",
    )
