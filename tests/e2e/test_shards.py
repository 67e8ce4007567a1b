"""Events over two PostgreSQL servers: buckets spread, one that dies takes its own buckets along and no others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import httpx2
import pytest

from headrace.buckets.rules import shard_of
from tests.support.postgres import Cluster
from tests.support.server import Server


@dataclass
class Sharded:
    """A Headrace whose second shard is on a server of its own. `names` of a bucket on each."""

    first: Cluster
    second: Cluster
    server: Server
    names: tuple[str, str]

    def env(self, *shards: str) -> dict[str, str]:
        urls = shards or (self.second.url(),)
        return {"HEADRACE_DATABASE_URL": self.first.url(), "HEADRACE_EVENT_SHARD_URLS": ",".join(urls)}


def named(shard: int, shards: int = 2) -> str:
    """A bucket's name that the hash puts on this shard."""
    return next(name for number in range(100) if shard_of(name := f"b{number}", shards) == shard)


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sharded]:
    with ExitStack() as stack:
        clusters = [Cluster().create().start() for _ in range(2)]
        for cluster in clusters:
            stack.callback(cluster.close)
        server = Server(tmp_path_factory.mktemp("sharded") / "data")
        stack.callback(server.close)
        made = Sharded(clusters[0], clusters[1], server, (named(0), named(1)))
        with server.start(env=made.env()).client() as client:
            for name in made.names:
                assert client.post("/v1/buckets", json={"name": name}).status_code == 201
        yield made


@pytest.fixture
def client(sharded: Sharded) -> Iterator[httpx2.Client]:
    with sharded.server.client() as connected:
        yield connected


def record(client: httpx2.Client, bucket: str, message: str, ack: str = "stored") -> httpx2.Response:
    return client.post(f"/v1/buckets/{bucket}/events", params={"ack": ack}, json={"message": message})


def messages(client: httpx2.Client, bucket: str) -> list[str]:
    answer = client.get(f"/v1/buckets/{bucket}/events")
    assert answer.status_code == 200, answer.text
    return [event["message"] for event in answer.json()["events"]]


def until(what: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.2)


def test_each_bucket_is_kept_by_the_shard_that_is_recorded_on_it(sharded: Sharded, client: httpx2.Client) -> None:
    for name in sharded.names:
        assert record(client, name, f"in {name}").status_code == 201
        assert messages(client, name) == [f"in {name}"]
    count = "SELECT count(*) FROM events WHERE message LIKE 'in b%'"
    assert (sharded.first.sql(count), sharded.second.sql(count)) == ([(1,)], [(1,)])


def test_one_request_may_hold_a_block_for_both_shards(sharded: Sharded, client: httpx2.Client) -> None:
    for round_ in range(5):
        for name in sharded.names:
            assert record(client, name, f"round {round_}", ack="durable").status_code == 202
    for name in sharded.names:
        until(partial(_all_rounds, client, name))


def _all_rounds(client: httpx2.Client, name: str) -> bool:
    return sum(text.startswith("round") for text in messages(client, name)) == 5


def test_a_dead_shard_takes_its_own_buckets_along_and_no_others(sharded: Sharded, client: httpx2.Client) -> None:
    home, away = sharded.names
    sharded.second.kill()
    taken: list[str] = []
    until(lambda: refused(client, away, taken))
    assert client.get(f"/v1/buckets/{away}/events").status_code == 503
    for number in range(5):
        assert record(client, home, f"meanwhile {number}").status_code == 201
    assert messages(client, home)[0] == "meanwhile 4"
    assert client.get("/health/ready").status_code == 200
    sharded.second.start()
    until(lambda: record(client, away, "back").status_code == 201, 60)
    until(lambda: sorted(text for text in messages(client, away) if text.startswith("taken")) == sorted(taken), 60)


def refused(client: httpx2.Client, bucket: str, taken: list[str]) -> bool:
    """Whether events for this bucket are refused now; what was taken until then is durable, and noted."""
    text = f"taken {len(taken)}"
    status = record(client, bucket, text, ack="durable").status_code
    if status == 202:
        taken.append(text)
    assert status in (202, 503)
    return status == 503


def test_a_shard_that_is_away_at_the_start_is_opened_later(sharded: Sharded) -> None:
    home, away = sharded.names
    sharded.server.stop()
    sharded.second.stop()
    with sharded.server.start(env=sharded.env()).client() as client:
        assert record(client, home, "alone").status_code == 201
        assert client.get(f"/v1/buckets/{away}/events").status_code == 503
        sharded.second.start()
        until(lambda: client.get(f"/v1/buckets/{away}/events").status_code == 200)


def test_another_shard_moves_nothing_and_another_order_is_refused(sharded: Sharded) -> None:
    third = sharded.second.create_database()
    with sharded.server.client() as client:
        before = {name: messages(client, name) for name in sharded.names}
    sharded.server.stop()
    with sharded.server.start(env=sharded.env(sharded.second.url(), third)).client() as client:
        assert {name: messages(client, name) for name in sharded.names} == before
        new = named(2, 3)
        assert client.post("/v1/buckets", json={"name": new}).status_code == 201
        assert record(client, new, "on the third").status_code == 201
    sharded.server.stop()
    with pytest.raises(RuntimeError, match="old order"):
        sharded.server.start(env=sharded.env(third, sharded.second.url()))
    sharded.server.start(env=sharded.env(sharded.second.url(), third))
