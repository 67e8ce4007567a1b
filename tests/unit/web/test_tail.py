"""The live tail as server-sent events."""

from __future__ import annotations

import json

import pytest

from headrace.errors import Overloaded
from tests.unit.web.fakes import TailItem, World, assert_problem, body_of, event, raw, scope_of

TAIL = "/v1/buckets/default/tail"


async def frames(world: World, *headers: tuple[bytes, bytes]) -> list[str]:
    sent = await raw(world.app, scope_of("GET", TAIL, headers=headers))
    assert sent[0]["status"] == 200
    assert dict(sent[0]["headers"])[b"content-type"].startswith(b"text/event-stream")
    return body_of(sent).decode().split("\n\n")[:-1]


async def test_it_begins_with_a_time_to_reconnect_so_that_the_client_knows_it_is_open() -> None:
    assert await frames(World()) == [": alive\nretry: 1000\nid: 40"]


async def test_too_many_tails_are_answered_before_a_stream_begins() -> None:
    world = World()
    world.tail.error = Overloaded("too many tails", retry_after=5)
    assert_problem(await world.ask("GET", TAIL), 503, "overloaded")


async def test_each_event_comes_with_its_position() -> None:
    world = World()
    world.tail.items = [TailItem(41, event(1)), TailItem(42, event(2))]
    one, two = (await frames(world))[1:]
    assert one.splitlines()[0] == "id: 41"
    assert json.loads(two.splitlines()[1].removeprefix("data: "))["message"] == "event 2"


async def test_a_heartbeat_is_a_comment_that_moves_the_position_on() -> None:
    world = World()
    world.tail.items = [TailItem(50, None)]
    assert (await frames(world))[1] == ": alive\nid: 50"


async def test_a_carriage_return_between_tokens_of_attributes_does_not_cut_the_event() -> None:
    world = World()
    world.tail.items = [TailItem(1, event(1, attributes='{"a":\r1}'))]
    frame = (await frames(world))[1]
    assert "\r" not in frame
    assert json.loads(frame.split("data: ")[1])["attributes"] == {"a": 1}


@pytest.mark.parametrize(("given", "after"), [(b"41", 41), (b"", None)])
async def test_it_resumes_after_the_last_event_id(given: bytes, after: int | None) -> None:
    world = World()
    await frames(world, (b"last-event-id", given))
    assert world.tail.after == [after]


@pytest.mark.parametrize("given", ["x", "-1", "1.5", "9" * 40, "1 2", "٣"])
async def test_a_last_event_id_that_is_no_position_is_refused(given: str) -> None:
    answer = await World().ask("GET", TAIL, headers={"last-event-id": given.encode()})  # type: ignore[dict-item]
    assert assert_problem(answer, 400, "malformed-request")["errors"][0]["field"] == "Last-Event-ID"
