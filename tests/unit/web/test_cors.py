"""Which pages of other origins may read what."""

from __future__ import annotations

import pytest

from headrace.errors import Unusable
from headrace.web.middleware.cors import parse_origins
from tests.unit.web.fakes import World

APP = "https://app.example.com"
EVENTS = "/v1/buckets/default/events"
READS = [EVENTS, f"{EVENTS}/01980a1c-7e4b-7c3a-9d2e-5f6a7b8c9d0e"] + [
    f"/v1/buckets/default/{noun}" for noun in ("histogram", "facets", "tail", "export")
]
OTHERS = ["/v1/buckets", "/v1/buckets/default", "/v1/status", "/v1/users/me", "/v1/keys", f"{EVENTS}/a/b", "/metrics"]


@pytest.fixture
def world() -> World:
    return World(cors_origins=parse_origins(APP))


def preflight(origin: str = APP, method: str = "GET") -> dict[str, str]:
    return {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": "authorization",
    }


@pytest.mark.parametrize("path", READS)
async def test_a_page_of_a_named_origin_may_ask_for_the_reads_of_events(world: World, path: str) -> None:
    answer = await world.ask("OPTIONS", path, key=None, headers=preflight())
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == APP
    assert answer.headers["access-control-allow-methods"] == "GET"
    assert "authorization" in answer.headers["access-control-allow-headers"]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        *((path, preflight()) for path in OTHERS),
        (EVENTS, preflight(origin="https://evil.example.com")),
        (EVENTS, preflight(origin="https://app.example.com.evil.com")),
        (EVENTS, preflight(origin="http://app.example.com")),
        (EVENTS, preflight(origin="null")),
        (EVENTS, preflight(method="POST")),
        (EVENTS, preflight(method="DELETE")),
    ],
)
async def test_nothing_else_is_allowed_to_a_page(world: World, path: str, headers: dict[str, str]) -> None:
    answer = await world.ask("OPTIONS", path, key=None, headers=headers)
    assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(("key", "status"), [("admin", 200), (None, 401), ("user", 404)])
async def test_the_answer_may_be_read_by_the_page_whatever_it_is(world: World, key: str | None, status: int) -> None:
    answer = await world.ask("GET", EVENTS, key=key, headers={"origin": APP})
    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == APP
    assert "origin" in answer.headers["vary"]
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("headers", [{}, {"origin": "https://evil.example.com"}, {"origin": "null"}])
async def test_the_answer_is_for_no_other_page_and_caches_know_it(world: World, headers: dict[str, str]) -> None:
    answer = await world.ask("GET", EVENTS, headers=headers)
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["vary"] == "origin"


@pytest.mark.parametrize("path", OTHERS)
async def test_other_answers_are_for_no_page(world: World, path: str) -> None:
    answer = await world.ask("GET", path, headers={"origin": APP})
    assert "access-control-allow-origin" not in answer.headers


async def test_a_write_is_for_no_page(world: World) -> None:
    answer = await world.ask("POST", EVENTS, key="user", json={"message": "x"}, headers={"origin": APP})
    assert "access-control-allow-origin" not in answer.headers


async def test_nobody_is_allowed_anything_where_no_origin_is_set() -> None:
    for method in ("GET", "OPTIONS"):
        answer = await World().ask(method, EVENTS, headers=preflight())
        assert "access-control-allow-origin" not in answer.headers


def test_origins_are_as_browsers_send_them() -> None:
    text = " https://App.example.com/, http://localhost:3000 ,https://a.b:443,http://a.b:80,http://[::1]:8080,,"
    expected = {"https://app.example.com", "http://localhost:3000", "https://a.b", "http://a.b", "http://[::1]:8080"}
    assert parse_origins(text) == {origin.encode() for origin in expected}
    assert parse_origins("") == parse_origins(" , ") == frozenset()


@pytest.mark.parametrize(
    "text",
    [
        "*", "null", "app.example.com", "https://*.example.com", "https://a.b/path", "https://a b", "ftp://a",
        "https://", "https://ü.de", "https://u@a.b",
    ],
)  # fmt: skip
def test_what_is_no_origin_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(Unusable, match=r"HEADRACE_CORS_ORIGINS.*https://app\.example\.com"):
        parse_origins(text)
