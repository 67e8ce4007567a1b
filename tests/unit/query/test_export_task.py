"""Exports as tasks: the file that they leave, who may have it made, who gets it, and when it goes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.adapters.memory.clock import MemoryClock
from headrace.errors import Conflict, Forbidden, Gone, HeadraceError, Malformed, NotFound, Overloaded, Unavailable
from headrace.kit.ids import format_id
from headrace.kit.times import SECOND
from headrace.model.bucket import Bucket
from headrace.model.event import StoredEvent
from headrace.model.principal import USER, BucketView, Principal, Role
from headrace.model.query import EventFilter, Search
from headrace.model.task import Status, Task
from headrace.query import export_folder
from headrace.query.export import TEXT_FORMATS, Export
from headrace.query.export_task import EXPORT_TYPE, ExportTask
from headrace.query.exports import ExportedFile, Exports
from tests.support.events import stored_event
from tests.unit.query.fakes import BUCKET, FakeEvents
from tests.unit.query.house import ADA, ADMIN, READ, STRANGER, WRITER, Around, HeldAttempt, fields_of, person

MANY = [stored_event(seq, seq, level=seq % 6) for seq in range(1, 1_001)]
APP = {"bucket": "app"}


class Desk(Around):
    def __init__(self, path: Path, events: Sequence[StoredEvent] = MANY) -> None:
        super().__init__(path, clock=MemoryClock(round(time.time() * SECOND)))  # files have times of the real clock
        self.path = path / "exports"
        self.events = FakeEvents(events)
        self.export = ExportTask(Export(self.events, TEXT_FORMATS), TEXT_FORMATS, self.folder, self.views, self.clock)
        self.exports = Exports(
            self.tasks.see, self.tasks, self.buckets, self.folder, TEXT_FORMATS, self.clock, 30.0
        )  # fmt: skip

    async def run(self, args: dict[str, Any] = APP, owner: str = ADA.id) -> tuple[Task, dict[str, Any]]:
        task = self.task(EXPORT_TYPE, args, owner)
        return task, await self.attempt(task)

    async def attempt(self, task: Task) -> dict[str, Any]:
        attempt = HeldAttempt(task)
        result: Any = await self.export.run(attempt, msgspec.json.decode(task.args))
        done = msgspec.structs.replace(task, status=Status.SUCCEEDED, result=msgspec.json.encode(result))
        self.tasks.put(done)
        return {**result, "told": attempt.told}

    async def open(self, task: Task, principal: Principal = ADA) -> ExportedFile:
        return await self.exports.open(principal, format_id(task.id))

    async def read(self, task: Task, principal: Principal = ADA) -> bytes:
        return b"".join([piece async for piece in (await self.open(task, principal)).chunks])

    def files(self) -> list[str]:
        return sorted(path.name for path in self.path.iterdir()) if self.path.is_dir() else []


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_the_file_holds_every_event_and_the_result_says_so(desk: Desk) -> None:
    task, result = await desk.run()
    content = await desk.read(task)
    assert len(content.splitlines()) == result["events"] == 1_000
    assert (result["bytes"], result["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert result["url"] == f"/v1/exports/{format_id(task.id)}"
    assert desk.files() == [result["file"]] == [f"{format_id(task.id)}.ndjson"]


async def test_the_file_is_for_its_owner_alone_on_the_disk(desk: Desk) -> None:
    _, result = await desk.run()
    assert (desk.path / result["file"]).stat().st_mode & 0o077 == 0
    assert desk.path.stat().st_mode & 0o077 == 0


async def test_what_is_sent_says_its_format_and_size(desk: Desk) -> None:
    task, result = await desk.run({"bucket": "app", "format": "csv"})
    opened = await desk.open(task)
    assert (opened.content_type, opened.file_name, opened.size) == (
        "text/csv; charset=utf-8; header=present", "headrace-app.csv", result["bytes"],
    )  # fmt: skip


async def test_a_filter_narrows_the_file(desk: Desk) -> None:
    asked = {"level": ["error", "info"], "until": "1970-01-01T00:00:00.000500Z"}
    task, result = await desk.run({"bucket": "app", "filter": asked})
    levels = {json.loads(line)["level"] for line in (await desk.read(task)).splitlines()}
    assert (levels, result["events"]) == ({"error", "info"}, sum(e.level in (2, 4) and e.time < 500 for e in MANY))


@pytest.mark.parametrize(
    ("args", "field"),
    [
        ("{}", "args.bucket"),
        ('{"bucket": 5}', "args.bucket"),
        ('{"bucket": "app", "fromat": "csv"}', "args.fromat"),
        ('{"bucket": "app", "format": "xml"}', "args.format"),
        ('{"bucket": "app", "filter": {"levle": "error"}}', "args.filter.levle"),
        ('{"bucket": "app", "filter": {"level": "loud"}}', "args.filter.level"),
        ('{"bucket": "app", "filter": {"since": "yesterday", "level": "error"}}', "args.filter.since"),
        ('{"bucket": "app", "filter": {"level": {"a": 1}}}', "args.filter[...]"),
        ('{"bucket": "app", "filter": "level=error"}', "args.filter"),
    ],
)
def test_args_that_are_not_good_are_refused(desk: Desk, args: str, field: str) -> None:
    assert fields_of(desk.export.check(args.encode())) == [field]


def test_good_args_pass(desk: Desk) -> None:
    args = {"bucket": "app", "format": "csv", "filter": {"since": "24h", "service": ["a", "b"], "attr.x.y": "1"}}
    assert not desk.export.check(json.dumps(args).encode())


@pytest.mark.parametrize(
    ("principal", "error"), [(STRANGER, NotFound), (WRITER, Forbidden), (ADA, None), (ADMIN, None)]
)
async def test_only_who_may_read_the_bucket_may_submit_one(
    desk: Desk, principal: Principal, error: type[HeadraceError] | None
) -> None:
    permit = desk.export.kind.permit
    assert permit is not None
    if error is None:
        await permit(principal, b'{"bucket": "app"}')
    else:
        with pytest.raises(error):
            await permit(principal, b'{"bucket": "app"}')
    with pytest.raises(NotFound):
        await permit(principal, b'{"bucket": "nowhere"}')


@pytest.mark.parametrize("now", [None, STRANGER, WRITER])
async def test_rights_are_those_of_the_owner_when_it_runs(desk: Desk, now: Principal | None) -> None:
    del desk.people[ADA.id]
    if now is not None:
        desk.people[ADA.id] = now
    with pytest.raises((NotFound, Forbidden)):
        await desk.run()
    assert not desk.events.asked
    assert desk.files() == []


async def test_a_narrowed_view_narrows_the_export(desk: Desk) -> None:
    narrowed = narrow(ADA)
    desk.people[ADA.id] = narrowed
    task, result = await desk.run()
    assert result["events"] == sum(event.level == 4 for event in MANY)
    assert len((await desk.read(task, narrowed)).splitlines()) == result["events"]
    assert len((await desk.read(task, ADMIN)).splitlines()) == result["events"]


async def test_who_sees_but_a_part_now_does_not_get_the_whole_of_then(desk: Desk) -> None:
    task, _ = await desk.run()
    with pytest.raises(NotFound):
        await desk.open(task, narrow(ADA))
    lying = msgspec.structs.replace(desk.tasks.by_id[task.id], result=b'{"file": "x.narrowed.ndjson"}')
    desk.tasks.put(lying)
    with pytest.raises(NotFound):
        await desk.open(task, narrow(ADA))


def narrow(principal: Principal) -> Principal:
    view = BucketView(BUCKET.id, EventFilter(levels=(4,)))
    return Principal(principal.id, USER, principal.name, Role.USER, owner_id=principal.owner_id, view=view)


@pytest.mark.parametrize("principal", [STRANGER, WRITER])
async def test_who_may_not_read_the_bucket_any_more_finds_no_file(desk: Desk, principal: Principal) -> None:
    task, _ = await desk.run()
    changed = Principal(ADA.id, USER, "ada", Role.USER, principal.grants, owner_id=ADA.id)
    with pytest.raises(NotFound):
        await desk.open(task, changed)


async def test_who_does_not_see_the_task_does_not_get_its_file(desk: Desk) -> None:
    task, _ = await desk.run()
    with pytest.raises(NotFound):
        await desk.open(task, person("bob", READ))


async def test_another_task_is_no_export(desk: Desk) -> None:
    with pytest.raises(NotFound):
        await desk.open(desk.task("add", {"bucket": "app"}, status=Status.SUCCEEDED))


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING, Status.SCHEDULED, Status.FAILED, Status.CANCELLED])
async def test_a_task_that_has_not_succeeded_has_no_file_yet(desk: Desk, status: Status) -> None:
    with pytest.raises(Conflict):
        await desk.open(desk.task(EXPORT_TYPE, APP, status=status))


async def test_a_file_that_is_gone_is_told(desk: Desk) -> None:
    task, result = await desk.run()
    opened = await desk.open(task)
    (desk.path / result["file"]).unlink()
    with pytest.raises(Gone, match="another machine"):
        await desk.open(task)
    with pytest.raises(Gone):
        await anext(opened.chunks)


async def test_what_a_result_names_is_never_opened(desk: Desk, tmp_path: Path) -> None:
    """Whoever leases a task over HTTP says what its result is."""
    (tmp_path / "admin.key").write_text("secret")
    result = b'{"file": "../admin.key", "url": "/admin.key"}'
    with pytest.raises(Gone):
        await desk.open(desk.task(EXPORT_TYPE, APP, status=Status.SUCCEEDED, result=result))


async def test_a_bucket_that_was_made_anew_under_the_name_does_not_open_the_files_of_the_old_one(desk: Desk) -> None:
    task, _ = await desk.run()
    desk.buckets.by_name["app"] = Bucket(BUCKET.id, "app", "", None, desk.clock.now() + 60 * SECOND)
    with pytest.raises(Gone):
        await desk.open(task)
    assert await desk.exports.step() == 1


async def test_a_cancelled_export_leaves_nothing(desk: Desk) -> None:
    stopped = asyncio.Event()

    class Slow(FakeEvents):
        async def search(self, search: Search) -> Sequence[StoredEvent]:
            if search.after is not None:
                stopped.set()
                await asyncio.sleep(3600)
            return await super().search(search)

    desk.export._export = Export(Slow(MANY), TEXT_FORMATS)
    running = asyncio.ensure_future(desk.run())
    await stopped.wait()
    assert len(desk.files()) == 1
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert desk.files() == []


async def test_a_failed_attempt_leaves_nothing_and_the_next_begins_anew(desk: Desk) -> None:
    desk.events.failures.append(Overloaded("busy"))
    task = desk.task(EXPORT_TYPE, APP)
    with pytest.raises(Overloaded):
        await desk.attempt(task)
    assert desk.files() == []
    assert (await desk.attempt(task))["events"] == 1_000


async def test_an_attempt_that_sees_less_than_the_one_before_replaces_its_file(desk: Desk) -> None:
    task = desk.task(EXPORT_TYPE, APP)
    await desk.attempt(task)
    desk.people[ADA.id] = narrow(ADA)
    result = await desk.attempt(task)
    assert desk.files() == [result["file"]]
    assert len((await desk.read(task, narrow(ADA))).splitlines()) == result["events"] < 1_000


async def test_a_disk_that_is_nearly_full_is_told_and_left_alone(desk: Desk) -> None:
    desk.free = 10 << 20
    with pytest.raises(Unavailable, match="10 MiB of the disk are free"):
        await desk.run()
    assert desk.files() == []


async def test_a_disk_that_fills_up_in_the_middle_stops_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_folder, "_GATHERED_BYTES", 10_000)
    monkeypatch.setattr(export_folder, "_LOOK_BYTES", 20_000)
    looks: list[int] = []

    def shrinking() -> int:
        looks.append(1)
        return (2 << 20) if len(looks) < 3 else 0

    desk.folder._free_bytes = shrinking
    with pytest.raises(Unavailable):
        await desk.run()
    assert (len(looks), desk.files()) == (3, [])


async def test_it_says_how_far_it_is(desk: Desk) -> None:
    seconds = iter(range(10_000))
    desk.clock.monotonic = lambda: float(next(seconds))
    _, result = await desk.run()
    assert result["told"]
    assert result["told"][-1] == {"events": result["events"], "bytes": result["bytes"]}


async def test_files_go_with_their_tasks(desk: Desk) -> None:
    kept, _ = await desk.run()
    forgotten, _ = await desk.run()
    del desk.tasks.by_id[forgotten.id]
    assert await desk.exports.step() == 1
    assert desk.files() == [f"{format_id(kept.id)}.ndjson"]


async def test_files_go_with_their_buckets(desk: Desk) -> None:
    await desk.run()
    desk.buckets.by_name.clear()
    assert await desk.exports.step() == 1
    assert desk.files() == []


async def test_files_go_after_the_time_that_tasks_are_kept_for(desk: Desk) -> None:
    await desk.run()
    await desk.clock.advance(29 * 86_400)
    assert await desk.exports.step() == 0
    await desk.clock.advance(2 * 86_400)
    assert await desk.exports.step() == 1


async def test_what_a_killed_process_left_goes_but_not_what_is_being_written(desk: Desk) -> None:
    desk.path.mkdir()
    old, young = desk.path / ".a.ndjson.1.part", desk.path / ".b.ndjson.2.part"
    old.touch()
    young.touch()
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    (desk.path / "README").touch()
    assert await desk.exports.step() == 1
    assert desk.files() == [young.name, "README"]


async def test_without_a_folder_there_is_nothing_to_delete(desk: Desk) -> None:
    assert await desk.exports.step() == 0


async def test_args_that_another_version_took_end_the_task_for_good(desk: Desk) -> None:
    with pytest.raises(Malformed):
        await desk.run({"bucket": "app", "compress": True})
