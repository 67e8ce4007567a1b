"""`events.export`: a task that leaves everything that a filter finds as a file on the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from headrace.errors import ItemError
from headrace.kit.ids import format_id
from headrace.model.task import Retry
from headrace.model.task_kind import TaskKind
from headrace.ports.clock import Clock
from headrace.ports.crew import Attempt
from headrace.ports.export_format import ExportFormat
from headrace.query.export import Export
from headrace.query.export_folder import ExportFolder, ExportWriting
from headrace.query.task_args import Filter, TaskViews, filter_flaws, filter_of, flaws, read

EXPORT_TYPE = "events.export"
DEFAULT_FORMAT = "ndjson"
_SECONDS = 6 * 3600.0  # a billion events at 50,000 a second take as long
_RETRY = Retry(first=30.0, longest=3600.0)  # what stops one is a full disk or a store that is away
_TELL_SECONDS = 1.0


class ExportArgs(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    bucket: str
    format: str = DEFAULT_FORMAT
    filter: Filter = {}


class ExportTask:
    """An attempt begins anew, whatever an earlier one left."""

    def __init__(
        self,
        export: Export,
        formats: Mapping[str, ExportFormat],
        folder: ExportFolder,
        views: TaskViews,
        clock: Clock,
    ) -> None:
        self._export = export
        self._formats = formats
        self._folder = folder
        self._views = views
        self._clock = clock

    @property
    def kind(self) -> TaskKind:
        """For whoever submits one."""
        return TaskKind(
            EXPORT_TYPE,
            self.check,
            retry=_RETRY,
            timeout=_SECONDS,
            house=True,
            description="Export the events of a bucket as a file, which GET /v1/exports/{task} sends.",
            permit=self._views.permit,
        )

    def check(self, raw: bytes) -> Sequence[ItemError]:
        """What is wrong with the args."""
        return flaws(raw, ExportArgs, self._flaws)

    async def run(self, attempt: Attempt, args: Mapping[str, Any]) -> object:
        """`{"events": …, "bytes": …, "sha256": …, "file": …, "url": …}`. Raises NotFound and Forbidden when the owner
        of the task may not read the bucket any more, and Unavailable."""
        asked = read(args, ExportArgs)
        view = await self._views.of_owner(attempt.task.owner, asked.bucket)
        count = _Count(attempt, self._clock)
        made = self._export.open(view, filter_of(asked.filter, self._clock.now()), asked.format, count.add)
        extension = self._formats[asked.format].extension
        writing = await self._folder.begin(attempt.task.id, extension, narrowed=view.within is not None)
        try:
            async for piece in made.chunks:
                await writing.write(piece)
                count.tell(writing)
            await writing.finish()
        finally:
            await writing.abandon()
        return {
            "events": count.events,
            "bytes": writing.size,
            "sha256": writing.digest.hexdigest(),
            "file": writing.path.name,
            "url": f"/v1/exports/{format_id(attempt.task.id)}",
        }

    def _flaws(self, args: ExportArgs) -> Sequence[ItemError]:
        errors = list(filter_flaws(args.filter, self._clock.now()))
        if args.format not in self._formats:
            detail = f"{args.format[:64]!r} is not a format: write one of {', '.join(self._formats)}"
            errors.append(ItemError("bad-format", detail, field="args.format"))
        return errors


class _Count:
    """How far it is, told about once a second."""

    def __init__(self, attempt: Attempt, clock: Clock) -> None:
        self.events = 0
        self._attempt = attempt
        self._clock = clock
        self._told_at = clock.monotonic()

    def add(self, events: int) -> None:
        self.events += events

    def tell(self, writing: ExportWriting) -> None:
        now = self._clock.monotonic()
        if now - self._told_at >= _TELL_SECONDS:
            self._told_at = now
            self._attempt.progress({"events": self.events, "bytes": writing.size})
