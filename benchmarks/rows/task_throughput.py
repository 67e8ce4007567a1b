"""No-op tasks in batches over HTTP, run by a child process, with their results kept: for each CPU-second of everything
but the client. Celery with Redis and Procrastinate do the same in turns with Headrace."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from benchmarks.context import Bench
from benchmarks.figure import AtLeast, Figure, Target, TimesAtLeast
from benchmarks.postgres import OnPostgres, Postgres
from benchmarks.task_servers import Turn, celery, headrace_turn, lacking, procrastinate

ROW = "throughput"
_ROUNDS = 3  # at most
_EMBEDDED, _POSTGRES = "embedded", "PostgreSQL"
_CELERY, _SAFE_CELERY = "Celery + Redis, AOF off", "Celery + Redis, AOF with fsync always"
_PROCRASTINATE = "Procrastinate"

Turns = dict[str, list[Turn]]


def measure(bench: Bench, postgres: Postgres | None, profiles: tuple[str, ...]) -> list[Figure]:
    systems = _systems(bench, postgres, profiles)
    turns: Turns = {name: [] for name in systems}
    for number in range(1, min(bench.scale.rounds - 1, _ROUNDS) + 1):
        for name, run in systems.items():
            turns[name].append(done := run(number))
            bench.tell(f"throughput {number}, {name}: {done.per_cpu_second:,.0f} tasks/CPU-s, in {done.seconds:.1f} s")
    return _figures(turns)


def _systems(bench: Bench, postgres: Postgres | None, profiles: tuple[str, ...]) -> dict[str, Callable[[int], Turn]]:
    systems: dict[str, Callable[[int], Turn]] = {}
    if "embedded" in profiles:
        systems[_EMBEDDED] = lambda number: _embedded(bench, number)
    if postgres is not None:
        systems[_POSTGRES] = lambda number: _on_postgres(bench, postgres, number)
        if why := lacking("procrastinate"):
            bench.tell(f"throughput: Procrastinate is left out: {why}")
        else:
            systems[_PROCRASTINATE] = lambda number: _procrastinate(bench, postgres, number)
    if why := lacking("celery", "redis", "redis-server"):
        bench.tell(f"throughput: Celery is left out: {why}")
    else:
        systems[_CELERY] = lambda number: _celery(bench, number, safe=False)
        systems[_SAFE_CELERY] = lambda number: _celery(bench, number, safe=True)
    return systems


def _embedded(bench: Bench, number: int) -> Turn:
    with bench.headrace(f"tasks-{number}") as server:
        return headrace_turn(bench, server, _warm(bench), bench.scale.tasks)


def _on_postgres(bench: Bench, postgres: Postgres, number: int) -> Turn:
    with OnPostgres(postgres, bench.directory / f"pg-tasks-{number}", bench.cores) as server:
        turn = headrace_turn(bench, server, _warm(bench), bench.scale.tasks, postgres.cpu_seconds)
    postgres.drop_database(server.url)
    return turn


def _celery(bench: Bench, number: int, *, safe: bool) -> Turn:
    with celery(bench, bench.directory / f"celery-{number}-{safe}", safe=safe) as turn:
        share = 10 if safe else 3  # it waits for the disk several times a task
        return turn(_warm(bench) // share, bench.scale.tasks // share)


def _procrastinate(bench: Bench, postgres: Postgres, number: int) -> Turn:
    with procrastinate(bench, postgres, bench.directory / f"procrastinate-{number}") as turn:
        return turn(_warm(bench) // 3, bench.scale.tasks // 3)


def _warm(bench: Bench) -> int:
    return max(bench.scale.tasks // 10, 300)


def _figures(turns: Turns) -> list[Figure]:
    figures: list[Figure] = []
    if _EMBEDDED in turns:
        figures.append(_figure(turns, _EMBEDDED, _CELERY, AtLeast(5_000)))
    if _POSTGRES in turns:
        known = [each for each in (_PROCRASTINATE, _CELERY) if each in turns]
        figures += [_figure(turns, _POSTGRES, each, TimesAtLeast(3)) for each in known]
    if _SAFE_CELERY in turns:
        figures.append(_figure(turns, next(iter(turns)), _SAFE_CELERY, None))
    return figures


def _figure(turns: Turns, name: str, against: str, target: Target | None) -> Figure:
    theirs = turns.get(against)
    with_client = theirs and _middle(theirs, lambda turn: turn.per_cpu_second_with_client)
    return Figure(
        ROW, f"no-op tasks in batches, results kept, {name}", _middle(turns[name], _rate), "tasks / CPU-s",
        against=against, reference=theirs and _middle(theirs, _rate), target=target,
        orientation=f"with its client: {with_client:,.0f}" if with_client else "",
        detail=_detail(turns[name]),
    )  # fmt: skip


def _detail(turns: list[Turn]) -> dict[str, float]:
    each = {f"turn_{number}": turn.per_cpu_second for number, turn in enumerate(turns, 1)}
    return {**each, "tasks_per_second": _middle(turns, lambda turn: turn.tasks / turn.seconds)}


def _middle(turns: list[Turn], figure: Callable[[Turn], float]) -> float:
    return median(figure(turn) for turn in turns)


def _rate(turn: Turn) -> float:
    return turn.per_cpu_second
