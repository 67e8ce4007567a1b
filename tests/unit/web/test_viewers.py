"""Viewer tokens at the doors: they open the reads of events, and every other door is shut without being told to be."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from headrace.errors import Unauthenticated
from headrace.model.principal import VIEWER, BucketView, Principal, Role
from headrace.model.query import EventFilter
from headrace.model.view import View
from headrace.web.app import WebOptions, json_app
from headrace.web.deps import still_readable
from headrace.web.door import FOR_VIEWERS, Door
from tests.unit.web import fakes
from tests.unit.web.fakes import DEFAULT, TailItem, World, assert_problem, body_of, event, raw, scope_of

WITHIN = EventFilter(services=("acme",))
HOLDER = Principal("v", VIEWER, "viewer token", Role.USER, view=BucketView(DEFAULT.id, WITHIN))
OF_ANOTHER = Principal("w", VIEWER, "viewer token", Role.USER, view=BucketView(99, WITHIN))
PATHS = {"{bucket}": "default", "{id}": "01980a1c-7e4b-7c3a-9d2e-5f6a7b8c9d0e"}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setitem(fakes.KEYS, "Bearer viewer", HOLDER)
    monkeypatch.setitem(fakes.KEYS, "Bearer other", OF_ANOTHER)
    return World(metrics_open=False)


def doors() -> list[tuple[str, Door]]:
    app = json_app(World().services, WebOptions("1"))
    routes = [route for route in app.routes if isinstance(route, Door)]
    return [(method, route) for route in routes for method in sorted(route.methods or ())]


DOORS = doors()
MARKED = [(method, door) for method, door in DOORS if (door.openapi_extra or {}).get(FOR_VIEWERS)]
SHUT = [(m, d) for m, d in DOORS if (m, d) not in MARKED and "security" not in (d.openapi_extra or {})]


def path_of(door: Door) -> str:
    path = door.path
    for name, value in PATHS.items():
        path = path.replace(name, value)
    return re.sub(r"\{[a-z_]+(:[a-z]+)?\}", "x", path)


def test_the_marked_doors_are_the_reads_of_events() -> None:
    reads = {"/events", "/events/{id}", "/histogram", "/facets", "/tail", "/export"}
    paths = {f"/v1/buckets/{{bucket}}{end}" for end in reads} | {"/embed/{bucket}/events"}
    assert {(method, door.path) for method, door in MARKED} == {("GET", path) for path in paths}


def test_a_good_part_of_the_doors_is_tried() -> None:
    assert len(SHUT) > 20


@pytest.mark.parametrize(("method", "door"), SHUT, ids=lambda part: part if isinstance(part, str) else part.path)
async def test_every_other_door_is_shut(world: World, method: str, door: Door) -> None:
    assert_problem(await world.ask(method, path_of(door), key="viewer"), 403, "viewer-token")


async def test_metrics_that_are_not_open_are_shut_too(world: World) -> None:
    assert_problem(await world.ask("GET", "/metrics", key="viewer"), 403, "viewer-token")


@pytest.mark.parametrize("key", ["viewer", "other"])
async def test_the_fast_lane_is_shut(world: World, key: str) -> None:
    answer = await world.ask("POST", "/v1/buckets/default/events", key=key, json={"message": "x"})
    assert answer.status_code == (403 if key == "viewer" else 404)


@pytest.mark.parametrize(("method", "door"), MARKED, ids=lambda part: part if isinstance(part, str) else part.path)
async def test_the_bucket_of_another_token_is_not_there(world: World, method: str, door: Door) -> None:
    assert_problem(await world.ask(method, path_of(door), key="other"), 404, "unknown-bucket")


async def test_what_is_read_is_read_through_the_view(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[View] = []
    listed = world.reader.list

    async def spied(view: View, *args: object, **asked: Any) -> Any:
        seen.append(view)
        return await listed(view, *args, **asked)

    monkeypatch.setattr(world.reader, "list", spied)
    assert (await world.ask("GET", "/v1/buckets/default/events?service=zeta", key="viewer")).status_code == 200
    await world.ask("GET", "/v1/buckets/default/events")
    assert seen == [View(DEFAULT, WITHIN), View(DEFAULT)]


@pytest.mark.parametrize("becomes", [None, OF_ANOTHER, fakes.USER], ids=["refused", "of another bucket", "no grants"])
async def test_a_tail_ends_with_the_right_to_read(
    world: World, monkeypatch: pytest.MonkeyPatch, becomes: Principal | None
) -> None:
    async def stream() -> AsyncIterator[TailItem]:
        yield TailItem(40, None)
        yield TailItem(41, event(1))
        if becomes is None:
            monkeypatch.delitem(fakes.KEYS, "Bearer viewer")
        else:
            monkeypatch.setitem(fakes.KEYS, "Bearer viewer", becomes)
        yield TailItem(42, event(2))
        await asyncio.Event().wait()

    monkeypatch.setattr(world.tail, "follow", lambda *_: stream())
    scope = scope_of("GET", "/v1/buckets/default/tail")
    scope["headers"] = [(b"authorization", b"Bearer viewer")]
    async with asyncio.timeout(5):
        body = body_of(await raw(world.app, scope)).decode()
    assert "id: 41" in body
    assert "id: 42" not in body


async def test_who_was_let_in_once_is_asked_again_for_each_event(world: World) -> None:
    """The caller of a request is remembered in it; a tail must not go by that."""
    calls = 0

    class Counting(fakes.Authenticator):
        def cached(self, authorization: bytes) -> Principal | None:
            nonlocal calls
            calls += 1
            if calls > 2:
                raise Unauthenticated("gone")
            return HOLDER

    cast("Any", world.services).authenticator = Counting()
    world.tail.items = [TailItem(41, event(1))]
    body = body_of(await raw(world.app, scope_of("GET", "/v1/buckets/default/tail"))).decode()
    assert "id: 40" in body
    assert "id: 41" not in body


@pytest.mark.parametrize(
    ("opened", "now", "goes_on"),
    [(None, None, True), (None, WITHIN, False), (WITHIN, WITHIN, True), (WITHIN, None, True)],
)  # fmt: skip
async def test_a_stream_of_everything_ends_once_only_a_part_may_be_read(
    world: World, opened: EventFilter | None, now: EventFilter | None, goes_on: bool
) -> None:
    """Of `_tasks` everybody may read their own: who loses the grant is refused nothing, and sees less."""
    services = SimpleNamespace(
        authenticator=fakes.Authenticator(), view=lambda principal, bucket: View(bucket, now),
    )  # fmt: skip
    request = SimpleNamespace(
        app=SimpleNamespace(state=SimpleNamespace(services=services)),
        scope={"headers": [(b"authorization", b"Bearer admin")]},
    )
    assert await still_readable(cast("Any", request), View(DEFAULT, opened)) is goes_on
