"""The ends of attempts, many in one transaction, whoever ran them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from headrace.errors import Overloaded
from headrace.kit.group import Group
from headrace.model.metric import TASKS_FINISHED
from headrace.model.task import FINISHED, Outcome, Task
from headrace.ports.clock import Clock
from headrace.ports.metrics import Metrics
from headrace.ports.tasks import Tasks
from headrace.tasks.endings import Endings

_AT_ONCE = 1_000
_MOST = 20_000


class Finishing:
    """Call it with outcomes: the tasks as they are then, None where the lease was lost. Raises Unavailable."""

    def __init__(
        self,
        tasks: Tasks,
        endings: Endings,
        clock: Clock,
        metrics: Metrics,
        *,
        journaled: Callable[[], None],
        owes_callback: Callable[[], None],
        scheduled: Callable[[int], None],
    ) -> None:
        """`journaled` is called when something was written, `owes_callback` when a task with a callback ended,
        `scheduled` with the time for which one waits that is tried again."""
        self._scheduled = scheduled
        self._journaled = journaled
        self._owes_callback = owes_callback
        self._tasks = tasks
        self._endings = endings
        self._clock = clock
        self._metrics = metrics
        self._group: Group[Outcome, Task | None] = Group(
            self._finish,
            at_once=_AT_ONCE,
            most=_MOST,
            full=lambda: Overloaded("too many tasks end at once; send it again in a moment"),
        )

    async def __call__(self, outcomes: Sequence[Outcome]) -> Sequence[Task | None]:
        return await self._group(outcomes)

    async def close(self) -> None:
        """Finish what was handed in."""
        await self._group.close()

    async def _finish(self, outcomes: Sequence[Outcome]) -> Sequence[Task | None]:
        tasks = await self._tasks.finish(outcomes, self._clock.now())
        there = [task for task in tasks if task is not None]
        ended = [task for task in there if task.status in FINISHED]
        for status, count in Counter(task.status for task in there).items():
            self._metrics.add(TASKS_FINISHED, count, status.value)
        self._endings.tell(task.id for task in ended)
        if times := [one.retry_at for one in outcomes if one.retry_at is not None]:
            self._scheduled(min(times))
        self._journaled()
        if any(task.callback_url is not None for task in ended):
            self._owes_callback()
        return tasks
