"""The runner: claims what a crew has room for, keeps its leases alive, and writes down what became of each task.

Three loops, each a step: `claim_step`, `report_step`, `beat_step`. Whatever dies in between, the lease runs out and the
task is claimed again; an end under a lease that was lost changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf

from headrace.kit.times import SECOND
from headrace.kit.wake import Wake
from headrace.model.metric import TASK_LEASES_LOST, TASK_WAIT_SECONDS, TASKS_CLAIMED
from headrace.model.task import Beat, Ending, Outcome, Retry, Task, Wanted
from headrace.model.task_journal import Line
from headrace.model.task_kind import TaskKind
from headrace.ports.clock import Clock
from headrace.ports.crew import Crew, Ended, Logged, Progress
from headrace.ports.metrics import Metrics
from headrace.ports.tasks import Tasks
from headrace.tasks.finishing import Finishing
from headrace.tasks.leasing import retry_at

LEASE_SECONDS = 15.0  # others have the tasks of a process that died so much later
BEAT_SECONDS = 5.0
_POLL_SECONDS = 5.0  # behind the word that something came: words of other processes may get lost
_SOONEST = 0.05
_GATHER_SECONDS = 0.01  # while others run: a claim for many costs hardly more than for one
_READY_SECONDS = 0.1  # between two looks at a crew that is not ready yet
_MOST = 500  # in one claim
_CLOSING_SECONDS = 2.0  # for the last ends to become durable
_DEFAULT = Retry()


class Runner:
    """Of one crew. `holder` names this process among those that lease."""

    def __init__(
        self,
        tasks: Tasks,
        crew: Crew,
        kinds: Mapping[str, TaskKind],
        finishing: Finishing,
        clock: Clock,
        metrics: Metrics,
        *,
        holder: str,
        journaled: Callable[[], None],
    ) -> None:
        self._tasks = tasks
        self._crew = crew
        self._kinds = kinds
        self._finishing = finishing
        self._clock = clock
        self._metrics = metrics
        self._holder = holder
        self._journaled = journaled
        self._running: dict[int, Task] = {}
        self._held_back: dict[int, Task] = {}
        """Of those, what came here anew while it still runs here under a lease that was lost: begun once that ended."""
        self._progress: dict[int, bytes] = {}
        self._lines: list[Line] = []
        self._ended: list[Ended] = []
        """Reported, and not durable yet."""
        self._room = Wake()
        self._last_claim = 1
        self._claimed_at = -inf
        self._closing = False

    @property
    def running(self) -> int:
        """How many tasks its crew has."""
        return len(self._running)

    async def claim_step(self) -> int:
        """Claims what there is room for, and waits when there is no room or nothing to do. Raises Unavailable."""
        if self._closing:
            await self._room.wait(_POLL_SECONDS)
            return 0
        room = min(_MOST, self._crew.room())
        if room <= 0:
            await self._room.wait(_POLL_SECONDS if self._crew.types else _READY_SECONDS)
            return 1
        if self._running and room < self._last_claim // 2 and await self._room.wait(_GATHER_SECONDS):
            return 1
        return await self._claim(room)

    async def report_step(self) -> int:
        """Takes what the crew reports and makes it durable. Raises Unavailable: then the next step does so again."""
        if not (self._ended or self._lines):
            self._take(await self._crew.reports())
        if self._lines:
            await self._tasks.log(self._lines)
            self._lines = []
            self._journaled()
        if self._ended:
            await self._finish()
        return 1

    async def beat_step(self) -> int:
        """Signs of life for all that runs. Whatever lost its lease, or is asked to stop, is stopped."""
        asked = list(self._running.values())
        if not asked:
            return 0
        progress, self._progress = self._progress, {}
        beats = [Beat(task.id, task.lease, progress.get(task.id)) for task in asked]
        heard = await self._tasks.beat(beats, LEASE_SECONDS, self._clock.now())
        lost = [task for task, one in zip(asked, heard, strict=True) if not one.held and self._holds(task)]
        cancelling = [one.id for one in heard if one.held and one.cancelling]
        if lost:
            self._metrics.add(TASK_LEASES_LOST, len(lost))
            self._lose(lost)
        self.stop(cancelling)
        return 0

    def stop(self, ids: Sequence[int]) -> None:
        """Those of these that run here are asked to stop."""
        if mine := [id_ for id_ in ids if id_ in self._running]:
            self._crew.stop(mine)

    async def close(self, seconds: float) -> None:
        """Claims nothing more, lets what runs end for so long, gives back the rest. `report_step` must go on meanwhile;
        what it cannot write down in time is claimed again when its lease has run out."""
        self._closing = True
        await self._crew.close(seconds)
        until = self._clock.monotonic() + _CLOSING_SECONDS
        while self._running and (left := until - self._clock.monotonic()) > 0:
            await self._room.wait(min(left, 0.1))

    async def _claim(self, room: int) -> int:
        wanted = Wanted(self._holder, room, LEASE_SECONDS, types=self._crew.types)
        now, seen = self._clock.now(), self._tasks.news
        tasks = await self._tasks.claim(wanted, now)
        if not tasks:
            await self._tasks.wait(self._patience(), seen)
            return 0
        self._last_claim = len(tasks)
        self._claimed_at = self._clock.monotonic()
        self._begin(tasks)
        self._journaled()
        self._metrics.add(TASKS_CLAIMED, len(tasks), "runner")
        for task in tasks:
            if task.attempt == 1:
                self._metrics.observe(TASK_WAIT_SECONDS, _waited(task, now))
        return len(tasks)

    def _begin(self, tasks: Sequence[Task]) -> None:
        """What still runs here under a lease that was lost is stopped first: never twice at once."""
        again = {task.id: task for task in tasks if task.id in self._running}
        self._running.update((task.id, task) for task in tasks)
        if again:
            self._held_back |= again
            self._crew.stop(list(again), Ending.RELEASED)
        self._crew.run([task for task in tasks if task.id not in again] if again else tasks)

    def _holds(self, task: Task) -> bool:
        """Whether this is its newest lease here."""
        newest = self._running.get(task.id)
        return newest is not None and newest.lease == task.lease

    def _lose(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            if self._held_back.pop(task.id, None) is not None:  # never begun: nobody will report its end
                del self._running[task.id]
        self._crew.stop([task.id for task in tasks], Ending.RELEASED)

    def _is_over(self, task: Task) -> None:
        """Its run is; what was held back for it may begin."""
        if self._holds(task):
            del self._running[task.id]
            self._progress.pop(task.id, None)
        elif (following := self._held_back.pop(task.id, None)) is None:
            return
        elif self._closing:
            self._ended.append(Ended(following, Ending.RELEASED))
        else:
            self._crew.run([following])

    def _patience(self) -> float:
        """A queue with a rate says no word when it has room again: whoever has just claimed something looks again soon,
        and later each time, an eighth of the time that has passed. So no rate is missed by more than that."""
        passed = self._clock.monotonic() - self._claimed_at
        return min(_POLL_SECONDS, max(_SOONEST, passed / 8))

    def _take(self, reports: Sequence[Ended | Logged | Progress]) -> None:
        for one in reports:
            if isinstance(one, Ended):
                self._ended.append(one)
            elif isinstance(one, Progress):
                if self._holds(one.task):
                    self._progress[one.task.id] = one.value
            else:
                task = one.task
                self._lines.append(
                    Line(
                        task.id, task.type, task.queue, task.owner, task.attempt, one.time, one.level, one.message,
                        one.attributes,
                    )
                )  # fmt: skip

    async def _finish(self) -> None:
        ended = self._ended
        now = self._clock.now()
        done = await self._finishing([self._outcome(one, now) for one in ended])
        self._ended = []
        for one, task in zip(ended, done, strict=True):
            self._is_over(one.task)
            if task is None and one.ending is not Ending.RELEASED:
                self._metrics.add(TASK_LEASES_LOST)
        self._room.ring()

    def _outcome(self, one: Ended, now: int) -> Outcome:
        at = None
        if one.ending is Ending.RETRY:
            kind = self._kinds.get(one.task.type)
            at = retry_at(one.task, now, kind.retry if kind else _DEFAULT, one.retry_after)
        return Outcome(one.task.id, one.task.lease, one.ending, one.result, one.error, at)


def _waited(task: Task, now: int) -> float:
    could = task.created_at if task.run_at is None else max(task.created_at, task.run_at)
    return max(0, now - could) / SECOND
