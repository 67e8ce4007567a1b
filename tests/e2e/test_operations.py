"""Health, status, metrics, dead letters, backup and restore over HTTP."""

from __future__ import annotations

import io
import re
import tarfile
import time
from pathlib import Path

import httpx2
import pytest

from headrace import __version__
from tests.e2e.conftest import TestBucket, assert_problem
from tests.support import profile
from tests.support.server import Server


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics", "/sign-in", "/docs", "/openapi.json"])
def test_the_open_doors_need_no_key(shared_server: Server, path: str) -> None:
    with shared_server.client(key="") as stranger:
        assert stranger.get(path).status_code == 200


def test_ready_names_its_parts(client: httpx2.Client) -> None:
    assert client.get("/health/ready").json() == {
        "status": "ready", "parts": {"server": "ok", "queue": "ok", "disk": "ok"},
    }  # fmt: skip


def test_status_tells_what_runs_and_how_much_is_in_it(bucket: TestBucket) -> None:
    bucket.record({"message": "x"})
    status = bucket.client.get("/v1/status").json()
    assert (status["profile"], status["version"]) == (profile.NAME, __version__)
    assert status["store"]["events"] >= 1
    assert status["store"]["bytes"] > 0
    assert status["queue"]["depth"] >= 0
    assert status["queue"]["oldest_seconds"] >= 0
    assert "problems" not in status


def test_the_depth_counts_what_was_acknowledged_and_cannot_be_queried(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", env={"HEADRACE_DRAIN": "off"}).start()
    try:
        with server.client() as client:
            for _ in range(3):
                client.post("/v1/buckets/default/events", json=[{"message": "a"}, {"message": "b"}])
            status = client.get("/v1/status").json()
            # The audit records of the first start wait there too.
            assert status["queue"]["depth"] >= 6
            assert client.get("/v1/buckets/default/events").json() == {"events": []}
    finally:
        server.close()


def test_metrics_count_events_and_requests_of_both_kinds_of_doors(bucket: TestBucket) -> None:
    def value(pattern: str) -> float:
        found = re.search(rf"^{pattern} ([0-9.e+]+)$", bucket.client.get("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    events = "headrace_events_accepted_total"
    write = r'headrace_http_requests_total\{method="POST",route="/v1/buckets/\{bucket\}/events",status="201"\}'
    read = r'headrace_http_requests_total\{method="GET",route="/v1/buckets/\{bucket\}/events",status="200"\}'
    before = [value(name) for name in (events, write, read)]
    bucket.record({"message": "a"}, {"message": "b"})
    bucket.list()
    assert value(events) >= before[0] + 2  # and the audit record of the bucket, sooner or later
    assert [value(name) for name in (write, read)] == [before[1] + 1, before[2] + 1]
    assert value("headrace_store_events") > 0


def test_there_are_no_dead_letters_in_a_healthy_server(client: httpx2.Client) -> None:
    assert client.get("/v1/dead-letters").json() == {"dead_letters": []}
    assert client.post("/v1/dead-letters/replay", json={"since": "2020-01-01T00:00:00Z"}).json() == {"replayed": 0}


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 422), ({"ids": []}, 422), ({"ids": ["x"]}, 422), ({"since": "soon"}, 422), ({"all": True}, 422), ([], 422)],
)
def test_a_replay_must_say_which(client: httpx2.Client, body: object, status: int) -> None:
    assert_problem(client.post("/v1/dead-letters/replay", json=body), status)


@pytest.mark.embedded("a backup copies files")
def test_a_backup_taken_under_load_restores_everything_that_was_acknowledged_before_it(server: Server) -> None:
    with server.client() as client:
        here = TestBucket(client, "default")
        client.post("/v1/buckets", json={"name": "billing", "description": "kept"})
        for begin in range(0, 500, 50):
            here.post(b"\n".join(b'{"message": "%d"}' % n for n in range(begin, begin + 50)), "application/x-ndjson")
        tar = client.get("/v1/backup")
        assert tar.headers["content-type"] == "application/x-tar"
        with tarfile.open(fileobj=io.BytesIO(tar.content)) as packed:
            assert "queue.db" in packed.getnames()
        here.record({"message": "after the backup"})
        client.delete("/v1/buckets/billing", params={"confirm": "billing"})
        answer = client.post("/v1/restore", content=tar.content, headers={"content-type": "application/x-tar"})
        assert answer.status_code == 202, answer.text
    _await_restart(server)
    with server.client() as client:
        here = TestBucket(client, "default")
        for _ in range(100):
            if len(found := here.messages(limit=1000)) >= 500:
                break
            time.sleep(0.05)
        assert sorted(found, key=int) == [str(number) for number in range(500)]
        assert client.get("/v1/buckets/billing").json()["description"] == "kept"


def _await_restart(server: Server) -> None:
    """The same process id, another life: its uptime begins again."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with server.client(timeout=2) as client:
                status = client.get("/v1/status")
                if status.status_code == 200 and status.json()["uptime_seconds"] < 5 and not _staged(server):
                    return
        except (httpx2.HTTPError, OSError):
            pass
        time.sleep(0.05)
    raise AssertionError(server.log.read_text()[-3000:])


def _staged(server: Server) -> bool:
    return (server.data_dir / "restore.ready").exists()


@pytest.mark.embedded("a restore replaces files")
@pytest.mark.parametrize("body", [b"", b"hello", b"\0" * 10240, b"x" * 100_000])
def test_a_restore_of_what_is_no_backup_changes_nothing(bucket: TestBucket, body: bytes) -> None:
    bucket.record({"message": "still here"})
    answer = bucket.client.post("/v1/restore", content=body, headers={"content-type": "application/x-tar"})
    assert_problem(answer, [400, 422])
    assert bucket.messages() == ["still here"]


def test_a_restore_takes_tars_only(client: httpx2.Client) -> None:
    assert_problem(client.post("/v1/restore", content=b"x", headers={"content-type": "application/zip"}), 415)
