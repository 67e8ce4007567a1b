"""Submission: from the bytes of a request to durable tasks. Ids are assigned here, once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from headrace.errors import Forbidden, Invalid, ItemError, Malformed, NotFound, Overloaded, TooLarge
from headrace.kit.group import Group
from headrace.kit.ids import format_id
from headrace.kit.json_text import UNDECODABLE, array_items, line_slices
from headrace.model.metric import TASKS_SUBMITTED
from headrace.model.principal import Principal
from headrace.model.task import Added, NewTask, Task
from headrace.ports.clock import Clock
from headrace.ports.metrics import Metrics
from headrace.ports.tasks import Tasks
from headrace.tasks.render import as_task
from headrace.tasks.rights import owner_of, unknown_task
from headrace.tasks.wire import MAX_BODY_BYTES, Flawed, Kinds, read

MAX_ITEMS = 100_000
MAX_ARRAY_BYTES = 4 * 1024 * 1024
_AT_ONCE = 1_000
_MOST_WAITING = 200_000
_MOST_SPELLED_OUT = 100
_BOM = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n"


class Submitted(msgspec.Struct):
    """What became of a batch: ids of the accepted tasks in their order, and why the others were not."""

    ids: list[str] = []
    count: int = 0
    rejected: int = 0
    errors: list[ItemError] = []
    size: int = 0
    """Bytes of the accepted tasks as JSON."""

    def reject(self, index: int, errors: Iterable[ItemError]) -> None:
        """The item at `index` is not taken."""
        self.rejected += 1
        for error in errors:
            if len(self.errors) < _MOST_SPELLED_OUT:
                self.errors.append(ItemError(error.code, error.detail, index=index, field=error.field))


class Submission:
    """Every method returns once the tasks are durable, never before.

    Raises Malformed, Invalid or TooLarge for what the client must change; Overloaded, Unavailable or OutcomeUnknown
    when some or all of it may not have been taken: with idempotency keys it is then safe to repeat.
    """

    def __init__(
        self,
        tasks: Tasks,
        kinds: Kinds,
        clock: Clock,
        metrics: Metrics,
        *,
        journaled: Callable[[], None],
        scheduled: Callable[[int], None],
    ) -> None:
        """`journaled` is called when something was written, `scheduled` with the time for which a task waits."""
        self._scheduled = scheduled
        self._journaled = journaled
        self._tasks = tasks
        self._kinds = kinds
        self._clock = clock
        self._metrics = metrics
        self._group: Group[NewTask, Added] = Group(
            self._add,
            at_once=_AT_ONCE,
            most=_MOST_WAITING,
            full=lambda: Overloaded("too many tasks wait to be made durable; send it again in a moment"),
        )

    async def one(self, principal: Principal, body: bytes, key: str | None = None) -> tuple[Task, bool]:
        """(the task, whether it is new). `key`: an Idempotency-Key, for a task that names none itself.

        Raises Forbidden and NotFound for what this caller may not have done."""
        body = body.removeprefix(_BOM)
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge(f"a task may have {MAX_BODY_BYTES} bytes as JSON")
        now = self._clock.now()
        try:
            new = read(body, owner_of(principal), now, self._kinds, key)
        except Flawed as exc:
            error = Invalid if exc.parsed else Malformed
            first = exc.errors[0]
            raise error(first.detail, code=first.code if not exc.parsed else "invalid-task", items=exc.errors) from exc
        if (kind := self._kinds.get(new.type)) is not None and kind.permit is not None:
            await kind.permit(principal, new.args)
        (added,) = await self._group((new,))
        if added.is_new:
            return as_task(new, now), True
        _check_same(new, added)
        task = await self._tasks.get(added.id)
        if task is None:  # deleted in between
            raise unknown_task(added.id)
        return task, False

    async def again(self, owner: str, body: bytes) -> Task:
        """A task of `owner`'s from what was checked before, when somebody asked for it. Raises Invalid."""
        now = self._clock.now()
        try:
            new = read(body, owner, now, self._kinds)
        except Flawed as exc:  # its handler takes other args now
            raise Invalid(exc.errors[0].detail, code="invalid-task", items=exc.errors) from exc
        await self._group((new,))
        return as_task(new, now)

    async def lines(self, principal: Principal, body: bytes, key: str | None = None) -> Submitted:
        """NDJSON: each line is taken or refused for itself; blank lines do not count. Of `key`, an Idempotency-Key, and
        its place each task that names no key gets one."""
        body = body.removeprefix(_BOM)
        items = (line for part in line_slices(body) for line in part.split(b"\n") if line.strip(_BLANKS))
        return await self._take(principal, items, key)

    async def array(self, principal: Principal, body: bytes, key: str | None = None) -> Submitted:
        """A JSON array of objects: each is taken or refused for itself."""
        body = body.removeprefix(_BOM)
        if len(body) > MAX_ARRAY_BYTES:
            raise TooLarge(f"a JSON array may have {MAX_ARRAY_BYTES} bytes; send application/x-ndjson instead")
        try:
            items = array_items(body)
        except UNDECODABLE as exc:
            raise Malformed(f"the body is no JSON array: {str(exc)[:200]}", code="invalid-json") from exc
        return await self._take(principal, iter(items), key)

    async def close(self) -> None:
        """Finish what was taken."""
        await self._group.close()

    async def _take(self, principal: Principal, items: Iterator[bytes], key: str | None) -> Submitted:
        submitted = Submitted()
        pending: list[tuple[int, NewTask]] = []
        adding: list[asyncio.Task[None]] = []
        index = -1
        try:
            for index, item in enumerate(items):
                if index >= MAX_ITEMS:
                    raise TooLarge(f"more than {MAX_ITEMS} tasks; send them in several requests")
                await self._read_into(pending, submitted, principal, index, item, key)
                if len(pending) >= _AT_ONCE:
                    adding.append(asyncio.create_task(self._add_all(pending, submitted)))
                    pending = []
                    await asyncio.sleep(0)
            if pending:
                adding.append(asyncio.create_task(self._add_all(pending, submitted)))
        finally:
            results = await asyncio.gather(*adding, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        if not submitted.count:
            raise _nothing_taken(submitted, index + 1)
        submitted.ids = [text for text in submitted.ids if text]
        return submitted

    async def _read_into(
        self,
        pending: list[tuple[int, NewTask]],
        submitted: Submitted,
        principal: Principal,
        index: int,
        item: bytes,
        key: str | None,
    ) -> None:
        if len(item) > MAX_BODY_BYTES:
            submitted.reject(index, [ItemError("too-large", f"a task may have {MAX_BODY_BYTES} bytes as JSON")])
            return
        own_key = None if key is None else f"{key}/{index}"
        try:
            new = read(item, owner_of(principal), self._clock.now(), self._kinds, own_key)
            if (kind := self._kinds.get(new.type)) is not None and kind.permit is not None:
                await kind.permit(principal, new.args)
        except Flawed as exc:
            submitted.reject(index, exc.errors)
        except (Forbidden, NotFound) as exc:
            submitted.reject(index, [ItemError(exc.code, exc.detail)])
        else:
            pending.append((index, new))
            submitted.size += len(item)

    async def _add_all(self, pending: Sequence[tuple[int, NewTask]], submitted: Submitted) -> None:
        place = len(submitted.ids)
        submitted.ids.extend([""] * len(pending))  # slices may end in another order than they began
        added = await self._group([task for _, task in pending])
        ids: list[str] = []
        for (index, task), one in zip(pending, added, strict=True):
            if not one.is_new and one.fingerprint != task.fingerprint:
                submitted.reject(index, [_other_body(task)])
            else:
                ids.append(format_id(one.id))
        submitted.ids[place : place + len(pending)] = ids + [""] * (len(pending) - len(ids))
        submitted.count += len(ids)

    async def _add(self, tasks: Sequence[NewTask]) -> Sequence[Added]:
        now = self._clock.now()
        added = await self._tasks.add(tasks, now)
        self._metrics.add(TASKS_SUBMITTED, sum(one.is_new for one in added))
        if times := [task.run_at for task in tasks if task.run_at is not None and task.run_at > now]:
            self._scheduled(min(times))
        self._journaled()
        return added


def _check_same(new: NewTask, added: Added) -> None:
    if added.fingerprint != new.fingerprint:
        error = _other_body(new)
        raise Invalid(error.detail, code=error.code, items=[error])


def _other_body(task: NewTask) -> ItemError:
    return ItemError(
        "idempotency-key-reused",
        f"another task has the idempotency key {(task.idempotency_key or '')[:80]!r}: give this one a key of its own",
        field="idempotency_key",
    )


def _nothing_taken(submitted: Submitted, seen: int) -> Invalid:
    if not seen:
        return Invalid("the body holds no task", code="empty-body")
    return Invalid("no item could be accepted", code="invalid-task", items=submitted.errors)
