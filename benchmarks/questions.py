"""The questions of the benchmark: as a call of the API, and as the SQL that asks plain DuckDB the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from benchmarks.reference.plain_duckdb import COLUMNS
from benchmarks.traffic import values

RARE = "quicksilver"
"""A word that a few events have; `day.py` puts them in."""

_BUCKET = "/v1/buckets/default"
_LATEST = f"SELECT {COLUMNS} FROM events {{where}} ORDER BY time DESC, id_hi DESC, id_lo DESC LIMIT 100"
_TOP = "SELECT {column}, count(*) AS n FROM events WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY n DESC, 1 LIMIT 10"


@dataclass(frozen=True, slots=True)
class Variant:
    """A target and its SQL parameters, in order."""

    target: str
    parameters: list[str]


@dataclass(frozen=True, slots=True)
class Query:
    name: str
    sql: str
    variants: list[Variant]
    size: Callable[[dict[str, Any]], int]
    """How many items an answer has: both sides must agree."""
    orientation: str = ""


def questions(middle: str, bars: Mapping[str, str] | None = None) -> list[Query]:
    """`middle`: a time in the middle of the data, for a page that is not the newest; `bars`: filters of the histogram,
    where everything would be too many bars."""
    services, actors = values(seed=1)
    by_service = [_page([service], service=service) for service in services]
    by_actor = [_page([actor], actor=actor) for actor in actors]
    return [
        Query("list, newest 100", _where(""), [_page([])], _events, "VictoriaLogs, 2 M: 15 ms"),
        Query("list, newest 100 of a service", _where("service = ?"), by_service, _events),
        Query(
            "list, 100 from the middle of the day",
            _where("time < ?::TIMESTAMP"),
            [_page([middle], until=middle)],
            _events,
        ),
        Query("list, newest 100 of an actor", _where("actor_id = ?"), by_actor, _events, "VictoriaLogs, 2 M: 33 ms"),
        Query(
            "list, a rare word",
            _where("contains(lower(message), ?) OR contains(lower(attributes), ?)"),
            [_page([RARE, RARE], q=RARE)],
            _events,
            "VictoriaLogs, 2 M: word 3.4 ms, substring 159 ms",
        ),
        Query("facets, top 10 services", _TOP.format(column="service"), [_facet("service")], _facets),
        Query(
            "facets, top 10 actors",
            _TOP.format(column="actor_id"),
            [_facet("actor")],
            _facets,
            "VictoriaLogs, 2 M: 171 ms",
        ),
        Query(
            "histogram by minute and level",
            "SELECT time_bucket(INTERVAL 1 MINUTE, time), level, count(*) FROM events GROUP BY ALL ORDER BY 1, 2",
            [Variant(f"{_BUCKET}/histogram?{urlencode({'interval': '1m', 'by': 'level', **(bars or {})})}", [])],
            _bars,
            "VictoriaLogs, 2 M: 131 ms",
        ),
    ]


def _where(condition: str) -> str:
    return _LATEST.format(where=f"WHERE {condition}" if condition else "")


def _page(parameters: list[str], **filters: str) -> Variant:
    return Variant(f"{_BUCKET}/events?{urlencode({**filters, 'limit': '100'})}", parameters)


def _facet(field: str) -> Variant:
    return Variant(f"{_BUCKET}/facets?{urlencode({'fields': field, 'limit': '10'})}", [])


def _events(answer: dict[str, Any]) -> int:
    return len(answer["events"])


def _facets(answer: dict[str, Any]) -> int:
    return sum(map(len, answer["facets"].values()))


def _bars(answer: dict[str, Any]) -> int:
    """Groups that are not empty."""
    return sum(len(bar.get("by", ())) for bar in answer["buckets"])
