"""Tasks, put together: the desks that the doors call, and the loops that run tasks and look after them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from os import getpid

from headrace.adapters.house.crew import HouseCrew
from headrace.adapters.processes._seat import Crewing
from headrace.adapters.processes.crew import ProcessCrew
from headrace.config import Settings
from headrace.handlers.registry import Registry, load
from headrace.ingest.batcher import Batcher
from headrace.ingest.task_journal import TaskJournalForwarder
from headrace.kit.ids import format_id, uuid7
from headrace.kit.wake import Wake
from headrace.model.metric import TASKS_RUNNING
from headrace.model.task_kind import TaskKind
from headrace.ports.clock import Clock
from headrace.ports.crew import Crew, HouseHandler
from headrace.query.exports import Exports
from headrace.tasks.bulk import BULK_TYPE, Bulk, bulk_kind
from headrace.tasks.desk import TaskDesk
from headrace.tasks.endings import Endings
from headrace.tasks.finishing import Finishing
from headrace.tasks.firing import Firing
from headrace.tasks.leasing import LeaseDesk
from headrace.tasks.queues import QueueDesk
from headrace.tasks.rights import TaskRights
from headrace.tasks.runner import BEAT_SECONDS, Runner
from headrace.tasks.schedules import ScheduleDesk
from headrace.tasks.submission import Submission
from headrace.tasks.upkeep import Callbacks, History, Sweeper
from headrace.wiring.adapters import Adapters
from headrace.wiring.house import HouseNeeds, build_house
from headrace.wiring.reading import Reading
from headrace.wiring.steps import Step
from headrace.wiring.urls import Urls
from headrace.workers.loop import Pace

EMBEDDED_HOLDER = "runner"
"""Of leases in the files of a data directory: one process owns them, and after its death nobody else has them."""
_GRACE_SECONDS = 3.0  # for handlers at the end; what they hold then is begun anew elsewhere
_HOUSE = 8  # of its tasks at once: exports may take hours, and a bulk change should not wait for four of them
_PURGE_PACE = Pace(idle=60.0)


@dataclass(frozen=True, slots=True)
class TaskFeatures:
    submission: Submission
    desk: TaskDesk
    leasing: LeaseDesk
    queues: QueueDesk
    schedules: ScheduleDesk
    exports: Exports
    kinds: Mapping[str, TaskKind]
    house: Mapping[str, HouseHandler]
    finishing: Finishing
    journaled: Callable[[], None]
    steps: Sequence[Step]
    runners: list[Runner]
    """Filled by `run_crews`."""

    async def close(self) -> None:
        """Nothing more is begun; what ends in time is written down."""
        for runner in self.runners:
            await runner.close(_GRACE_SECONDS)
        await self.submission.close()
        await self.finishing.close()


def build_tasks(settings: Settings, ports: Adapters, batcher: Batcher, reading: Reading) -> TaskFeatures:
    """Everything but the crews, which run what is claimed (see `run_crews`). Raises Unusable for a handler of the
    user's that cannot be one."""
    tasks, clock, metrics = ports.tasks, ports.clock, ports.metrics
    house = build_house(_house_needs(ports, reading))
    kinds = {
        **handlers(settings).kinds(),
        **{name: kind for name, (kind, _) in house.items()},
        BULK_TYPE: bulk_kind(),
    }
    journal, callbacks, schedule = Wake(), Wake(), Wake()
    endings = Endings()
    rights = TaskRights(ports.buckets)
    sweeper = Sweeper(tasks, endings, clock, journal.ring)
    finishing = Finishing(
        tasks, endings, clock, metrics, journaled=journal.ring, owes_callback=callbacks.ring, scheduled=sweeper.expect
    )
    submission = Submission(tasks, kinds, clock, metrics, journaled=journal.ring, scheduled=sweeper.expect)
    runners: list[Runner] = []

    def stop(ids: Sequence[int]) -> None:
        for runner in runners:
            runner.stop(ids)

    desk = TaskDesk(tasks, rights, endings, kinds, clock, stop, journal.ring)
    exports = Exports(
        desk.get, tasks, ports.buckets, reading.folder, reading.formats, clock, settings.task_days
    )
    return TaskFeatures(
        submission=submission,
        desk=desk,
        leasing=LeaseDesk(tasks, rights, finishing, endings, kinds, clock, metrics),
        queues=QueueDesk(tasks, rights),
        schedules=ScheduleDesk(ports.schedules, submission, rights, kinds, clock, schedule),
        exports=exports,
        kinds=kinds,
        house={
            **{name: function for name, (_, function) in house.items()},
            BULK_TYPE: Bulk(tasks, desk.cancel_all, clock).run,
        },
        finishing=finishing,
        journaled=journal.ring,
        runners=runners,
        steps=[
            Step("task-journal", TaskJournalForwarder(tasks, ports.buckets, batcher, journal).step, Pace()),
            Step("task-sweep", sweeper.step, Pace()),
            Step("task-history", History(tasks, clock, settings.task_days).step, _PURGE_PACE),
            Step("export-files", exports.step, Pace(idle=600.0)),
            Step("task-callbacks", Callbacks(tasks, callbacks, clock).step, Pace()),
            Step("schedules", Firing(ports.schedules, kinds, clock, schedule).step, Pace()),
        ],
    )


async def run_crews(features: TaskFeatures, settings: Settings, ports: Adapters) -> list[Step]:
    """The crews are started; the loops of a runner for each. Raises Unavailable."""
    steps: list[Step] = []
    for number, crew in enumerate(_crews(features, settings, ports.clock), 1):
        holder = f"{holder_of(settings)}/{number}"
        if not Urls.of(settings).tasks:
            await ports.tasks.free(holder, ports.clock.now())
        runner = Runner(
            ports.tasks, crew, features.kinds, features.finishing, ports.clock, ports.metrics, holder=holder,
            journaled=features.journaled,
        )  # fmt: skip
        features.runners.append(runner)
        ports.metrics.watch(TASKS_RUNNING, partial(getattr, runner, "running"))
        steps += [
            Step(f"tasks-claim-{number}", runner.claim_step, Pace()),
            Step(f"tasks-report-{number}", runner.report_step, Pace()),
            Step(f"tasks-beat-{number}", runner.beat_step, Pace(idle=BEAT_SECONDS)),
        ]
    return steps


def _crews(features: TaskFeatures, settings: Settings, clock: Clock) -> Sequence[Crew]:
    children = ProcessCrew(
        Crewing(
            modules=_names(settings.task_modules),
            processes=settings.task_processes,
            concurrency=settings.task_concurrency,
            networks=_names(settings.outbound_networks),
        )
    )
    children.start()
    timeouts = {name: features.kinds[name].timeout for name in features.house}
    return children, HouseCrew(features.house, clock, at_once=_HOUSE, timeouts=timeouts)


def handlers(settings: Settings) -> Registry:
    """The built-in ones and those of the modules that the settings name. Raises Unusable."""
    return load(_names(settings.task_modules), _names(settings.outbound_networks))


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _house_needs(ports: Adapters, reading: Reading) -> HouseNeeds:
    return HouseNeeds(
        accounts=ports.accounts,
        buckets=ports.buckets,
        clock=ports.clock,
        events=ports.events,
        export=reading.export,
        folder=reading.folder,
        formats=reading.formats,
        keys=ports.keys,
        warming=reading.warming,
    )


def holder_of(settings: Settings) -> str:
    """Who leases: the same after a restart where one process owns the data, else nobody else's name."""
    if not Urls.of(settings).tasks:
        return EMBEDDED_HOLDER
    return f"{socket.gethostname()}/{getpid()}/{format_id(uuid7(0))[-12:]}"
