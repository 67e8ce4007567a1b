"""A block that nobody can read: to the dead letters with its reason, its neighbours stored, replayed on demand."""

from __future__ import annotations

import time

import httpx2
import pytest

from tests.e2e.conftest import TestBucket, assert_problem
from tests.support.queue import put_blocks
from tests.support.server import Server

POISON = b"HR\x01\x00 this is no zstd frame"
MANY = 3


@pytest.fixture
async def poisoned(server: Server) -> Server:
    """A server that was started with blocks in its queue that cannot be read."""
    with server.client() as client:
        TestBucket(client, "default").record({"message": "before"})
    server.stop()
    await put_blocks(server, *[POISON] * MANY)
    return server.start()


def letters(client: httpx2.Client, count: int = MANY) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for _ in range(200):
        found = client.get("/v1/dead-letters").json()["dead_letters"]
        if len(found) == count and client.get("/v1/status").json()["queue"]["depth"] == 0:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{len(found)} dead letters, where {count} were expected")


def test_what_cannot_be_read_is_a_dead_letter_with_its_reason_and_ingest_goes_on(poisoned: Server) -> None:
    with poisoned.client() as client:
        found = letters(client)
        assert set(found[0]) == {"id", "reason", "received_at", "payload"}
        assert "decompress" in found[0]["reason"]
        assert client.get("/v1/status").json()["dead_letters"] == MANY
        here = TestBucket(client, "default")
        here.record({"message": "after"})
        assert here.messages() == ["after", "before"]


def test_dead_letters_come_in_pages(poisoned: Server) -> None:
    with poisoned.client() as client:
        everything = letters(client)
        first = client.get("/v1/dead-letters", params={"limit": 2}).json()
        second = client.get("/v1/dead-letters", params={"limit": 2, "cursor": first["next_cursor"]}).json()
        assert first["dead_letters"] + second["dead_letters"] == everything
        assert "next_cursor" not in second
        assert_problem(client.get("/v1/dead-letters", params={"cursor": "x"}), 400)
        assert_problem(client.get("/v1/dead-letters", params={"bucket": "nothing-here"}), 404)
        assert client.get("/v1/dead-letters", params={"since": "2200-01-01T00:00:00Z"}).json() == {"dead_letters": []}
        assert client.get("/v1/dead-letters", params={"bucket": "default"}).json() == {"dead_letters": []}


def test_a_replayed_letter_that_is_still_bad_comes_back_as_a_new_one(poisoned: Server) -> None:
    with poisoned.client() as client:
        before = {one["id"] for one in letters(client)}
        one = min(before)
        assert client.post("/v1/dead-letters/replay", json={"ids": [one]}).json() == {"replayed": 1}
        after = {one["id"] for one in letters(client)}
        assert len(after - before) == 1
        assert before - after == {one}
        assert client.post("/v1/dead-letters/replay", json={"since": "2020-01-01T00:00:00Z"}).json() == {
            "replayed": MANY
        }
        assert not after & {one["id"] for one in letters(client)}


@pytest.mark.embedded("a backup copies files")
def test_a_backup_holds_the_dead_letters(poisoned: Server) -> None:
    with poisoned.client() as client:
        letters(client)
        assert b"dead-letters.db" in client.get("/v1/backup").content
