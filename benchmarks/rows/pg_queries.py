"""Questions over HTTP, beside the very statements that they are, in a plain session on the same server."""

from __future__ import annotations

from time import perf_counter

from benchmarks.context import Bench
from benchmarks.day import Day
from benchmarks.figure import Figure, TimesAtMost
from benchmarks.postgres import OnPostgres, Postgres
from benchmarks.questions import Query, questions
from benchmarks.replay import Session, Statement, Touched, record
from benchmarks.rows.queries import ROW, TURNS, Asked, ask, asked_in_turns, figure, sizes

_LARGEST = "SELECT bucket_id FROM event_days GROUP BY 1 ORDER BY sum(events) DESC LIMIT 1"


def measure(bench: Bench, day: Day, server: OnPostgres, postgres: Postgres) -> list[Figure]:
    postgres.sql(server.url, "VACUUM ANALYZE")  # as autovacuum will have done, at a moment of our choice
    [(bucket_id,)] = postgres.sql(server.url, _LARGEST)
    figures: list[Figure] = []
    touched: list[Touched] = []
    with Session(server.url) as session:
        for query in questions(day.middle, day.last_day if day.days > 1 else None):
            recorded = record(server.url, bucket_id, [variant.target for variant in query.variants])
            asked = _compare(bench, server, query, session, recorded)
            figures.append(figure(asked, "the same SQL in a plain session", TimesAtMost(1.3, plus=3)))
            touched += [each for statements in recorded for each in session.touched(statements, bucket_id)]
            bench.tell(f"{query.name}: {figures[-1].value:.2f} ms, psql {figures[-1].reference:.2f} ms")
    return [*figures, _partitions(touched)]


def _compare(
    bench: Bench, server: OnPostgres, query: Query, session: Session, recorded: list[list[Statement]]
) -> Asked:
    seconds = bench.scale.query_seconds / TURNS

    def replay() -> list[float]:
        taken: list[float] = []
        end = perf_counter() + seconds
        while perf_counter() < end or len(taken) < len(recorded):
            taken.append(session.replay(recorded[len(taken) % len(recorded)]))
        return taken

    with server.client() as client:
        sizes(client, query)
        return asked_in_turns(query, lambda: ask(client, query, seconds), replay)


def _partitions(touched: list[Touched]) -> Figure:
    """The statement that reads the most of them beyond its need; where none does, the one that reads the most."""
    worst = max(touched, key=lambda each: (each.read - each.needed, each.read))
    return Figure(
        row=ROW,
        name="partitions that a query reads, at most",
        value=worst.read,
        unit="partitions",
        against="hold something in its time range",
        reference=worst.needed,
        target=TimesAtMost(1),
        detail={"statements": len(touched)},
    )
