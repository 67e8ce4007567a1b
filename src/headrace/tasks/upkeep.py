"""What has to be done for tasks now and then, whoever runs them: sweep, forget, call back."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from headrace.kit.ids import format_id, uuid7
from headrace.kit.times import DAY, SECOND
from headrace.kit.wake import Wake
from headrace.model.task import NewTask, Task
from headrace.ports.clock import Clock
from headrace.ports.tasks import Tasks
from headrace.tasks.endings import Endings
from headrace.tasks.render import task_dict

HTTP_TYPE = "http.request"
_SWEEP_SECONDS = 2.0  # what another process scheduled and does not sweep any more is so much late at most
_SOONEST = 0.05  # also while leases that seem to have run out are given time
_SELDOM = 5 * SECOND  # between two sweeps lie two seconds; by less than this a clock is put right while it runs
_PATIENCE_SECONDS = 30.0  # of leases; our own are renewed every 5 s
_CALLBACKS = 100
_CALLBACK_ATTEMPTS = 10


class Sweeper:
    """`step` queues what is due and ends what ran out, in time for the next that is known or `expect`ed.

    No lease has run out only because the time of day was set forward, or nobody could reach the table, or nothing ran
    here: for a while all are judged as if that time had not passed, and whoever works renews its own meanwhile.
    """

    def __init__(self, tasks: Tasks, endings: Endings, clock: Clock, journaled: Callable[[], None]) -> None:
        self._tasks = tasks
        self._endings = endings
        self._clock = clock
        self._journaled = journaled
        self._seen = (clock.now(), clock.monotonic())
        self._jumped = 0
        self._until = 0.0
        self._wake = Wake()
        self._expected: int | None = None
        """Since the last sweep began; the earliest."""

    def expect(self, at: int) -> None:
        """A task has been scheduled for this time."""
        if self._expected is None or at < self._expected:
            self._expected = at
            self._wake.ring()

    async def step(self) -> int:
        """How much was swept. Raises Unavailable."""
        self._expected = None
        now, monotonic = self._clock.now(), self._clock.monotonic()
        patience, until = self._patience(now, monotonic)
        swept = await self._tasks.sweep(now, patience)
        self._seen, self._jumped, self._until = (now, monotonic), patience, until
        self._endings.tell(swept.ended)
        if done := swept.due + swept.expired + len(swept.ended):
            self._journaled()
        if not swept.more:
            await self._rest(swept.next_at)
        return done

    def _patience(self, now: int, monotonic: float) -> tuple[int, float]:
        """µs of patience, and when (monotonic) it ends."""
        last, at = self._seen
        jumped = now - last - min(round((monotonic - at) * SECOND), _SELDOM)
        if jumped > _SELDOM:
            return self._jumped + jumped, monotonic + _PATIENCE_SECONDS
        if monotonic >= self._until:
            return 0, self._until
        return max(0, self._jumped + jumped) if jumped < -_SELDOM else self._jumped, self._until

    async def _rest(self, next_at: int | None) -> None:
        end = self._clock.monotonic() + _SWEEP_SECONDS
        while await self._wake.wait(min(self._pause(next_at), end - self._clock.monotonic())):
            pass  # something is expected earlier

    def _pause(self, next_at: int | None) -> float:
        times = [at for at in (next_at, self._expected) if at is not None]
        return max(_SOONEST, (min(times) - self._clock.now()) / SECOND) if times else _SWEEP_SECONDS


class History:
    """Finished tasks are kept for so many days."""

    def __init__(self, tasks: Tasks, clock: Clock, days: float) -> None:
        self._tasks = tasks
        self._clock = clock
        self._days = days

    async def step(self) -> int:
        """How many were forgotten now; there may be more. Raises Unavailable."""
        return await self._tasks.purge(self._clock.now() - round(self._days * DAY))


class Callbacks:
    """The end of a task with a `callback_url` makes a task that says so there; exactly one, whoever dies in between."""

    def __init__(self, tasks: Tasks, wake: Wake, clock: Clock) -> None:
        """`wake` is rung when such a task ended here."""
        self._tasks = tasks
        self._wake = wake
        self._clock = clock

    async def step(self) -> int:
        """How many ends were seen to. Raises Unavailable."""
        ended = await self._tasks.callbacks(_CALLBACKS)
        if not ended:
            await self._wake.wait(5.0)
            return 0
        now = self._clock.now()
        await self._tasks.add([_callback(task, now) for task in ended], now)
        await self._tasks.called_back([task.id for task in ended])
        return len(ended)


def _callback(task: Task, now: int) -> NewTask:
    id_ = format_id(task.id)
    args = {"method": "POST", "url": task.callback_url, "json": task_dict(task), "headers": {"idempotency-key": id_}}
    return NewTask(
        id=uuid7(now),
        type=HTTP_TYPE,
        owner=task.owner,
        created_at=now,
        args=msgspec.json.encode(args),
        max_attempts=_CALLBACK_ATTEMPTS,
        idempotency_key=f"callback/{id_}/{task.finished_at}",
    )
