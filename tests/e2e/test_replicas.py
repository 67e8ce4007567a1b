"""Reads from streaming replicas: near enough or not at all, own writes by position, and without a primary."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx2
import pytest

from tests.support.postgres import Cluster
from tests.support.server import Server

EVENTS = "/v1/buckets/default/events"


@dataclass
class Replicated:
    """A primary, a replica that keeps up, and one that applies everything 20 s late."""

    primary: Cluster
    near: Cluster
    late: Cluster
    server: Server

    def start(self, *replicas: Cluster, primary: str = "") -> Server:
        if self.server.process is not None and self.server.process.poll() is None:
            self.server.stop()
        urls = ",".join(replica.url() for replica in replicas)
        return self.server.start(
            env={
                "HEADRACE_DATABASE_URL": primary or self.primary.url(),
                "HEADRACE_DATABASE_REPLICA_URLS": urls,
                "HEADRACE_REPLICA_MAX_LAG": "3",
            }
        )


@pytest.fixture(scope="module")
def replicated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicated]:
    with ExitStack() as stack:
        primary = Cluster().create().start()
        stack.callback(primary.close)
        near = primary.replica().start()
        stack.callback(near.close)
        late = primary.replica(settings={"recovery_min_apply_delay": "20s"}).start()
        stack.callback(late.close)
        server = Server(tmp_path_factory.mktemp("replicated") / "data")
        stack.callback(server.close)
        made = Replicated(primary, near, late, server)
        made.start(near)  # some tests start none: which comes first in a process is chance
        yield made


def recorded(client: httpx2.Client, message: str) -> str:
    """The position of an event that is stored."""
    answer = client.post(EVENTS, params={"ack": "stored"}, json={"message": message})
    assert answer.status_code == 201, answer.text
    return str(answer.headers["headrace-position"])


def newest(client: httpx2.Client, position: str = "") -> str:
    answer = client.get(EVENTS, params={"limit": 1}, headers={"Headrace-Read-After": position} if position else {})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["events"][0]["message"])


def reads_of(cluster: Cluster) -> int:
    """Transactions that ended there so far: what asks for the lag is a few a second, a thousand reads are seen."""
    (row,) = cluster.sql("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'postgres'")
    return int(row[0])


def until(what: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.2)


def test_reads_go_to_a_replica_that_keeps_up(replicated: Replicated) -> None:
    with replicated.start(replicated.near).client() as client:
        position = recorded(client, "to be read")
        until(lambda: newest(client) == "to be read")
        before = reads_of(replicated.near)
        for _ in range(300):
            newest(client, position)
        until(lambda: reads_of(replicated.near) - before > 200)


def test_a_read_that_names_its_position_sees_its_own_write_whatever_replica_is_behind(replicated: Replicated) -> None:
    with replicated.start(replicated.near, replicated.late).client() as client:
        for number in range(20):
            position = recorded(client, f"mine {number}")
            assert [newest(client, position) for _ in range(4)] == [f"mine {number}"] * 4


def test_a_replica_that_is_too_far_behind_is_not_read(replicated: Replicated) -> None:
    with replicated.start(replicated.late).client() as client:
        recorded(client, "late")
        time.sleep(4)  # longer than HEADRACE_REPLICA_MAX_LAG, and than the second between two looks
        recorded(client, "later")
        assert [newest(client) for _ in range(10)] == ["later"] * 10


@pytest.mark.parametrize("position", ["x", "-1", "1" * 30])
def test_what_is_no_position_is_refused(replicated: Replicated, position: str) -> None:
    with replicated.server.client() as client:
        answer = client.get(EVENTS, headers={"Headrace-Read-After": position})
        assert answer.status_code == 400
        assert "Headrace-Read-After" in answer.text


def test_a_replica_that_is_gone_costs_nobody_a_read(replicated: Replicated) -> None:
    with replicated.start(replicated.near).client() as client:
        recorded(client, "before")
        until(lambda: newest(client) == "before")
        replicated.near.kill()
        assert [newest(client) for _ in range(20)] == ["before"] * 20
        replicated.near.start()
        position = recorded(client, "after")
        assert newest(client, position) == "after"


def test_without_the_primary_reads_go_on_and_with_the_promoted_replica_writes_do(replicated: Replicated) -> None:
    both = f"postgresql://postgres@127.0.0.1:{replicated.primary.port},127.0.0.1:{replicated.near.port}/postgres"
    with replicated.start(replicated.near, primary=f"{both}?target_session_attrs=read-write").client() as client:
        position = recorded(client, "the last one")
        until(lambda: replicated.near.sql("SELECT last_seq FROM event_position") == [(int(position),)])
        time.sleep(1.5)  # so that the server has looked, too
        replicated.primary.kill()
        refused = client.post(EVENTS, json={"message": "nowhere"}, timeout=30)
        assert refused.status_code == 503, refused.text
        until(lambda: client.get(EVENTS).status_code == 200)
        assert newest(client) == "the last one"
        replicated.near.promote()
        until(lambda: client.post(EVENTS, json={"message": "there again"}).status_code == 202)
        until(lambda: newest(client) == "there again")
