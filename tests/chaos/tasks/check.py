"""What must hold of tasks, from the ledger, the table as the API shows it, its journal, and the world outside:

- Each acknowledged task is there once, under its id, as it was sent, and has succeeded. No other is there.
- Of each there is one success in the journal, and one run outside that came to its end under the newest lease.
- Two runs of a task are never under way at once, unless the older one lost its lease: then the fence refused it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.chaos.ledger import Event, History, token
from tests.chaos.tasks.outside import Effect

_MOST_TOLD = 20
_EXPECTED = {"200", "202", "503", "none"}


@dataclass(slots=True)
class Evidence:
    """`tasks` as the API lists them; `successes` are the ids in the journal's events `task.succeeded`."""

    history: History
    tasks: Sequence[Event]
    effects: Sequence[Effect]
    successes: Sequence[str] = ()
    leases_may_run_out: bool = False
    """Something was done for which a lease may be lost by a run that goes on."""
    invented: bool = False
    """Tasks may be there that this ledger does not know (those of a schedule)."""
    runs: dict[str, list[Effect]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for effect in self.effects:
            self.runs[effect.task].append(effect)


def task_violations(evidence: Evidence) -> list[str]:
    """What is wrong, in words; empty when all holds."""
    broken = [*_lost_or_doubled(evidence), *_unlike(evidence)]
    for task in evidence.tasks:
        broken += _not_done(task, evidence.runs.get(task["id"], []))
    there = {task["id"] for task in evidence.tasks}
    broken += [f"{one}: an effect of a task that is not in the table" for one in evidence.runs if one not in there]
    for one, effects in evidence.runs.items():
        broken += [f"{one}: {what}" for what in _at_once(effects, lawful=evidence.leases_may_run_out)]
    broken += _journal(evidence)
    broken += [f"{n} answers with status {status}" for status, n in _unexpected(evidence.history)]
    return broken if len(broken) <= _MOST_TOLD else [*broken[:_MOST_TOLD], f"and {len(broken) - _MOST_TOLD} more"]


def _lost_or_doubled(evidence: Evidence) -> Iterator[str]:
    places = Counter(token(task) for task in evidence.tasks)
    for name, sent in evidence.history.sent.items():
        if sent.ids and not places[name]:
            yield f"{name}: acknowledged as {', '.join(sent.ids)}, and lost"
        if places[name] > 1:
            yield f"{name}: there {places[name]} times"
        if len(sent.ids) > 1:
            yield f"{name}: acknowledged under {len(sent.ids)} ids: {', '.join(sorted(sent.ids))}"


def _unlike(evidence: Evidence) -> Iterator[str]:
    for task in evidence.tasks:
        name = token(task)
        sent = evidence.history.sent.get(name)
        if sent is None:
            if not evidence.invented:
                yield f"{name}: in the table, but never sent"
            continue
        if sent.ids and task["id"] not in sent.ids:
            yield f"{name}: there as {task['id']}, acknowledged as {', '.join(sent.ids)}"
        if any(task.get(key) != value for key, value in sent.event.items() if key != "idempotency_key"):
            yield f"{name}: sent {sent.event}, read {task}"


def _not_done(task: Event, effects: Sequence[Effect]) -> Iterator[str]:
    if task["status"] != "succeeded":
        yield f"{task['id']}: {task['status']} after {task['attempt']} attempts: {task.get('error')}"
        return
    run = (task.get("result") or {}).get("run")
    mine = [effect for effect in effects if effect.run == run]
    if not any(effect.what == "end" and not effect.refused for effect in mine):
        yield f"{task['id']}: it succeeded, and its effect did not happen"
        return
    newest = max(effect.lease for effect in effects)
    if mine[0].lease < newest:
        yield f"{task['id']}: ended under the lease {mine[0].lease}, when {newest} had been given"
    if len(again := _begun_after(effects, mine[-1])) > 0:
        yield f"{task['id']}: begun again after it had ended, under the lease {again[0].lease}"


def _begun_after(effects: Sequence[Effect], end: Effect) -> list[Effect]:
    place = max(n for n, effect in enumerate(effects) if effect is end)
    return [effect for effect in effects[place + 1 :] if effect.what == "begin" and not effect.refused]


def _at_once(effects: Iterable[Effect], *, lawful: bool) -> Iterator[str]:
    """A run that goes on after a later one has begun."""
    latest: Effect | None = None
    for effect in effects:
        if effect.refused:
            if not lawful:
                yield f"went on under the lease {effect.lease}, which was lost while its process lived"
        elif effect.what == "begin":
            latest = effect
        elif latest is None or effect.run != latest.run:
            under = f"{effect.lease} and {latest.lease}" if latest is not None else str(effect.lease)
            yield f"two runs at once, under the leases {under}"


def _journal(evidence: Evidence) -> Iterator[str]:
    if not evidence.successes:
        return
    told = Counter(evidence.successes)
    for task in evidence.tasks:
        if task["status"] == "succeeded" and told[task["id"]] != 1:
            yield f"{task['id']}: {told[task['id']]} successes in the journal"


def _unexpected(history: History) -> list[tuple[str, int]]:
    return [(status, count) for status, count in history.statuses.items() if status not in _EXPECTED]
