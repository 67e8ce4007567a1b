"""At the doors: what is over a limit is 429 with what clients need to know, and only what was accepted is charged."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from headrace.errors import Forbidden, Invalid, NotFound, OverQuota, Unauthenticated
from headrace.ingest.framing import Accepted, Door
from headrace.metering.gate import GateOptions
from headrace.model.bucket import Bucket
from headrace.model.principal import Permission, Principal
from headrace.services import Services
from headrace.web.client_address import parse_trusted
from headrace.web.errors import problem
from headrace.web.fast_lane import FastLane
from headrace.web.write_events import WriteEvents
from tests.unit.metering.fakes import Rig, bucket, key
from tests.unit.web.fakes import Counted, raw, scope_of

GRANTS = {1: frozenset({Permission.WRITE})}
EVENT = b'{"message":"hello"}'


class Intake:
    """Takes every line but `bad` ones, when it is told to go on."""

    def __init__(self) -> None:
        self.taken = 0
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def one(self, door: Door, body: bytes) -> Accepted:
        await self.go_on.wait()
        if b"bad" in body:
            raise Invalid("no event")
        self.taken += 1
        return Accepted(["id"], 1, size=len(body))

    async def lines(self, door: Door, body: bytes) -> Accepted:
        await self.go_on.wait()
        good = [line for line in body.split(b"\n") if b"bad" not in line]
        self.taken += len(good)
        return Accepted([], len(good), rejected=body.count(b"bad"), size=len(b"\n".join(good)))


class Lane:
    """The fast lane with one caller, one bucket, and a real gate."""

    def __init__(
        self, principal: Principal, where: Bucket, options: GateOptions = GateOptions(), trusted: str = ""  # noqa: B008
    ) -> None:
        self.rig, self.intake = Rig(options), Intake()
        self.where: Bucket | None = where
        self.asked_who = 0

        async def authenticate(_: str | None) -> Principal:
            self.asked_who += 1
            raise Unauthenticated("who?")

        async def resolve(_: str) -> Bucket:
            raise NotFound("where?")

        services = SimpleNamespace(
            authenticator=SimpleNamespace(
                cached=lambda header: principal if header == b"Bearer admin" else None, authenticate=authenticate
            ),
            buckets=SimpleNamespace(cached=lambda _: self.where, resolve=resolve),
            gate=self.rig.gate, intake=self.intake, metrics=Counted(),
        )  # fmt: skip
        lane = FastLane(
            cast("Any", None), cast("Services", services), [WriteEvents(cast("Services", services))],
            max_body_bytes=10**6, trusted_proxies=parse_trusted(trusted),
        )  # fmt: skip
        self._lane = lane

    async def post(self, body: bytes = EVENT, *headers: tuple[bytes, bytes], peer: str = "192.0.2.1") -> dict[str, Any]:
        scope = scope_of("POST", "/v1/buckets/b1/events", headers=headers) | {"client": (peer, 1)}
        start, answer = await raw(self._lane, scope, [body])
        told = {name.decode(): value.decode() for name, value in start["headers"]}
        return {"status": start["status"], "body": json.loads(answer["body"]), **told}

    async def lines(self, *lines: bytes) -> dict[str, Any]:
        return await self.post(b"\n".join(lines), (b"content-type", b"application/x-ndjson"))

    async def counted(self) -> tuple[int, int]:
        await self.rig.meter.step()
        return self.rig.ledger.counted().get((0, 1, "k1"), (0, 0))


async def test_over_the_limit_is_429_with_what_clients_need_to_know() -> None:
    lane = Lane(key(rate_limit=2, grants=GRANTS), bucket())
    assert [(await lane.post())["status"] for _ in range(3)] == [202, 202, 429]
    answer = await lane.post()
    assert answer["retry-after"] == "1"
    assert answer["ratelimit-policy"] == '"key";q=2;w=1'
    assert answer["ratelimit"] == '"key";r=0;t=1'
    assert answer["content-type"] == "application/problem+json"
    assert answer["body"]["type"] == "/problems/over-quota"
    assert lane.intake.taken == 2


async def test_a_quota_of_the_day_says_so() -> None:
    lane = Lane(key(grants=GRANTS), bucket(size=len(EVENT)))
    await lane.post()
    answer = await lane.post()
    assert answer["status"] == 429
    assert answer["ratelimit-policy"] == f'"bucket-day";q={len(EVENT)};qu="content-bytes";w=86400'
    assert answer["ratelimit"] == f'"bucket-day";r=0;t={answer["retry-after"]}'


async def test_who_waits_as_long_as_told_gets_in() -> None:
    lane = Lane(key(rate_limit=2, grants=GRANTS), bucket())
    for _ in range(20):
        if (answer := await lane.post())["status"] == 429:
            lane.rig.clock.seconds += int(answer["retry-after"])
            assert (await lane.post())["status"] == 202


async def test_what_is_accepted_is_counted_and_nothing_else() -> None:
    lane = Lane(key(grants=GRANTS), bucket())
    await lane.post()
    await lane.post(b"bad")
    await lane.lines(EVENT, b"bad", EVENT)
    await lane.post(b"{}", (b"content-type", b"text/css"))
    assert await lane.counted() == (3, 3 * len(EVENT) + 1)
    assert lane.intake.taken == 3


async def test_accepted_events_cost_their_number_and_everything_else_one() -> None:
    lane = Lane(key(rate_limit=10, grants=GRANTS), bucket())
    await lane.lines(*[EVENT] * 3, *[b"bad"] * 50)
    await lane.post(b"bad")
    for _ in range(6):
        assert (await lane.post())["status"] == 202
    assert (await lane.post())["status"] == 429


async def test_a_flood_of_batches_that_wait_for_their_commit_is_let_in_up_to_the_limit() -> None:
    lane = Lane(key(rate_limit=10, grants=GRANTS), bucket())
    lane.intake.go_on.clear()
    flood = [asyncio.create_task(lane.lines(*[EVENT] * 100)) for _ in range(200)]
    for _ in range(50):
        await asyncio.sleep(0)
    lane.intake.go_on.set()
    statuses = [answer["status"] for answer in await asyncio.gather(*flood)]
    assert statuses.count(202) == 10
    assert statuses.count(429) == 190
    assert await lane.counted() == (1_000, 10 * (100 * len(EVENT) + 99))
    assert int((await lane.post())["retry-after"]) == 100


async def test_who_may_not_write_here_pays_for_asking() -> None:
    lane = Lane(key(rate_limit=3), bucket())
    assert [(await lane.post())["status"] for _ in range(4)] == [404, 404, 404, 429]
    lane.where = None
    lane.rig.clock.seconds += 1
    assert [(await lane.post())["status"] for _ in range(4)] == [404, 404, 404, 429]


async def test_an_address_is_limited_before_anyone_asks_who_it_is() -> None:
    lane = Lane(key(grants=GRANTS), bucket(), GateOptions(address=2))
    answers = [await lane.post(EVENT, (b"authorization", b"Bearer guess")) for _ in range(5)]
    answer = answers[-1]
    assert [answer["status"] for answer in answers] == [401, 401, 429, 429, 429]
    assert answer["ratelimit-policy"] == '"address";q=2;w=1'
    assert lane.asked_who == 2


async def test_saying_to_come_from_elsewhere_does_not_help() -> None:
    lane = Lane(key(grants=GRANTS), bucket(), GateOptions(address=2), trusted="10.0.0.0/8")
    statuses = [
        (await lane.post(EVENT, (b"x-forwarded-for", f"198.51.100.{n}".encode())))["status"] for n in range(3)
    ]
    assert statuses == [202, 202, 429]


async def test_behind_a_trusted_proxy_each_client_has_a_limit_of_its_own() -> None:
    lane = Lane(key(grants=GRANTS), bucket(), GateOptions(address=2), trusted="10.0.0.0/8")

    async def sent(forwarded: bytes) -> list[int]:
        return [(await lane.post(EVENT, (b"x-forwarded-for", forwarded), peer="10.0.0.1"))["status"] for _ in range(3)]

    assert await sent(b"198.51.100.1") == [202, 202, 429]
    assert await sent(b"198.51.100.2") == [202, 202, 429]
    assert await sent(b"6.6.6.6, 198.51.100.1") == [429, 429, 429]


@pytest.mark.parametrize("error", [OverQuota("slow down"), Forbidden("no")])
def test_what_names_no_limit_has_no_fields_of_one(error: Exception) -> None:
    assert not any(name.startswith(b"ratelimit") for name, _ in problem(error).headers)
