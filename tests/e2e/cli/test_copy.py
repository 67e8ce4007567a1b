"""`headrace copy`: from the files into PostgreSQL, killed on the way and run again; everything answers as before."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.e2e.cli.command import Cli, arguments, environment
from tests.e2e.conftest import TestBucket
from tests.e2e.test_tail import tail
from tests.support.people import Person, person, sign_in
from tests.support.postgres import Cluster
from tests.support.queue import put_blocks
from tests.support.server import Server

ONE_NAME = {"HEADRACE_BASE_URL": "http://headrace.example"}  # as people reach it, whichever server answers
EMBEDDED = {"HEADRACE_DATABASE_URL": "", **ONE_NAME}
EVENTS = 25_000  # two pages of a copy
LAST_DAYS = 5
UNDRAINED = 300
ODD = {"n": 10**400, "text": 'a "quoted" \\ backslash, \u00fc\u0130 and \U0001f600', "deep": {"list": [1, None, True]}}


@dataclass
class Source:
    """A data directory that a server has left, and what that server said."""

    data: Path
    user: Person
    key: str
    lines: dict[str, list[str]]
    position: int
    saved: dict[str, str]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    server = Server(tmp_path_factory.mktemp("copied") / "data", env=EMBEDDED)
    server.data_dir.mkdir(mode=0o700)
    asyncio.run(put_blocks(server, b"HR\x01\x00 this is no zstd frame"))  # becomes a dead letter
    try:
        yield _filled(server.start())
    finally:
        server.close()


def _filled(server: Server) -> Source:
    cli = Cli(server)
    with server.client() as admin:
        for name in ("billing", "passing"):
            assert admin.post("/v1/buckets", json={"name": name}).status_code == 201
        assert admin.delete("/v1/buckets/passing", params={"confirm": "passing"}).status_code == 204
        user = person(server)
        key = cli("keys", "create", "billing-api", "--grant", "billing:write").stdout.decode().split()[-1]
        cli("buckets", "grant", "billing", user.username, "read")
        position = _record(admin)
        cli.settle()
        assert admin.get("/v1/status").json()["dead_letters"] == 1
    server.stop()
    _keep_a_search(server.data_dir, user)
    _leave_undrained(server)
    return Source(server.data_dir, user, key, _lines_once_drained(server), position, _digests(server.data_dir))


def _record(admin: httpx2.Client) -> int:
    """Some thousands of events with and without ids; the position of one among them."""
    billing, default = TestBucket(admin, "billing"), TestBucket(admin, "default")
    billing.record({"id": "0198a000-0000-7000-8000-000000000001", "message": "chosen", "attributes": ODD})
    with tail(billing) as frames:
        billing.record({"message": "before", "time": "1971-02-03T04:05:06.000007Z"})
        position, _ = next(frames)
    billing.record({"message": "after", "actor": {"id": "u-1", "type": "user", "name": "Ada"}, "action": "a.b"})
    now = int(time.time())
    for part in range(0, EVENTS, 5_000):
        lines = [
            json.dumps({"message": f"event {n}", "time": now - (n % LAST_DAYS) * 86_400, "attributes": {"n": n}})
            for n in range(part, part + 5_000)
        ]
        answer = default.post("\n".join(lines).encode(), "application/x-ndjson", {"idempotency-key": f"part {part}"})
        assert answer.status_code == 202, answer.text
    return position


def _keep_a_search(data: Path, user: Person) -> None:
    with sqlite3.connect(data / "control.db") as control:
        (bucket,) = control.execute("SELECT id FROM buckets WHERE name = 'billing'").fetchone()
        control.execute(
            "INSERT INTO saved_searches VALUES ('s-1', ?, ?, 'errors', 'min_level=error', 1, 7)", (user.id, bucket)
        )
    control.close()


def _leave_undrained(server: Server) -> None:
    """Blocks that wait, and no good end: what is in the logs counts, too."""
    server.start(env={"HEADRACE_DRAIN": "off"})
    with server.client() as admin:
        for number in range(UNDRAINED):
            sent = {"message": f"waiting {number}", "level": "error"}
            assert admin.post("/v1/buckets/billing/events", json=sent).status_code == 202
    server.kill()


def _lines_once_drained(server: Server) -> dict[str, list[str]]:
    """What a server on a copy of the files answers, once it has drained."""
    twin = Server(server.data_dir.parent / "twin", env=EMBEDDED)
    shutil.copytree(server.data_dir, twin.data_dir)
    try:
        return _exported(twin.start())
    finally:
        twin.close()


def _exported(server: Server) -> dict[str, list[str]]:
    Cli(server).settle()
    return {name: Cli(server, name)("export").stdout.decode().splitlines() for name in ("billing", "default")}


def _digests(data: Path) -> dict[str, str]:
    files = [path for path in data.iterdir() if path.is_file() and path.name != "lock"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _copy(data: Path, url: str, *, expect: int = 0, **more: str) -> tuple[str, str]:
    """What it said on both streams."""
    done = subprocess.run(
        arguments("copy", "--to", url), capture_output=True, timeout=180, env=environment(data, **more), check=False
    )
    assert done.returncode == expect, f"{done.returncode}: {done.stdout!r} {done.stderr[-2000:]!r}"
    assert b"Traceback" not in done.stderr
    return done.stdout.decode(), done.stderr.decode()


@pytest.fixture(scope="module")
def copied(source: Source, postgres: Cluster) -> Iterator[str]:
    """The URL of a database with a whole copy, which was killed after its first page and before its second."""
    url = postgres.create_database()
    _copy_through_kills(source, url, "after_commit", "before_commit")
    yield url
    postgres.drop_database(url)


def _copy_through_kills(source: Source, url: str, *points: str) -> str:
    """What the last run said."""
    for point in points:
        _copy(source.data, url, expect=-signal.SIGKILL, HEADRACE_FAILPOINT=f"move.{point}")
    return _copy(source.data, url)[0]


def _server_on(url: str, directory: Path) -> Server:
    """Not started; it has its own directory, as another machine would."""
    return Server(directory, env={"HEADRACE_DATABASE_URL": url, **ONE_NAME})


def test_a_folder_without_data_is_no_source(tmp_path: Path, postgres_url: str) -> None:
    _, said = _copy(tmp_path, postgres_url, expect=1)
    assert "is no data directory of Headrace" in said


@pytest.mark.parametrize("words", [[], ["--to", "mysql://host/name"], ["--to", "postgresql://127.0.0.1:1/name"]])
def test_what_cannot_be_copied_to_is_said_without_a_traceback(source: Source, words: list[str]) -> None:
    done = subprocess.run(
        arguments("copy", *words), capture_output=True, timeout=60, env=environment(source.data), check=False
    )
    assert done.returncode in (1, 3)
    assert b"postgresql://" in done.stderr or b"cannot be" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_copy_leaves_the_files_as_they_are(source: Source, copied: str) -> None:
    assert copied
    assert _digests(source.data) == source.saved


def test_a_server_on_the_copy_answers_as_before(source: Source, copied: str, tmp_path: Path) -> None:
    server = _server_on(copied, tmp_path / "elsewhere")
    try:
        _answers_as_before(source, server.start())
    finally:
        server.close()


def _answers_as_before(source: Source, server: Server) -> None:
    with httpx2.Client(base_url=server.url, headers={"Authorization": f"Bearer {source.key}"}) as program:
        again = {"id": "0198a000-0000-7000-8000-000000000001", "message": "chosen, sent again"}
        assert program.post("/v1/buckets/billing/events", json=again).status_code == 202
    old = (source.data / "admin.key").read_text().strip()
    with server.client(key=old) as admin:
        lines = "\n".join(json.dumps({"message": f"event {n}", "attributes": {"n": n}}) for n in range(5_000))
        repeated = TestBucket(admin, "default").post(
            lines.encode(), "application/x-ndjson", {"idempotency-key": "part 0"}
        )
        assert repeated.status_code == 202
        assert admin.get("/v1/status").json()["dead_letters"] == 1
        assert _exported(server) == source.lines
        with tail(TestBucket(admin, "billing"), source.position) as frames:
            assert [next(frames)[1] for _ in range(2)] == ["after", "waiting 0"]
    assert sign_in(server, source.user.username).status_code == 200
    with server.client(key=source.user.access_token) as person_:
        assert person_.get("/v1/buckets/billing/events").status_code == 200, "signed by the same key as before"


def test_a_copy_has_what_no_answer_shows(copied: str, postgres: Cluster) -> None:
    database = copied.rsplit("/", 1)[1]
    assert postgres.sql("SELECT name, query FROM saved_searches", database=database) == [("errors", "min_level=error")]
    parts = postgres.sql("SELECT count(*) FROM pg_inherits WHERE inhparent = 'events'::regclass", database=database)
    assert parts[0][0] >= LAST_DAYS + 1
    rest = postgres.sql("SELECT message FROM events_rest", database=database)
    assert rest == [("before",)], "an odd day has no partition of its own"
    days = postgres.sql("SELECT bucket_id, sum(events) FROM event_days GROUP BY 1 ORDER BY 1", database=database)
    assert days == postgres.sql("SELECT bucket_id, count(*) FROM events GROUP BY 1 ORDER BY 1", database=database)
    made = postgres.sql(
        "INSERT INTO buckets (name, description, created_at) VALUES ('new', '', 1) RETURNING id", database=database
    )
    assert made == [(6,)], "the id of a bucket that is deleted is not given again"


@pytest.mark.chaos
@pytest.mark.parametrize("points", [("remembered", "before_finish"), ("queue", "after_finish")])
def test_a_copy_that_is_killed_after_the_events_ends_the_same(
    source: Source, postgres: Cluster, postgres_url: str, points: tuple[str, ...]
) -> None:
    said = _copy_through_kills(source, postgres_url, *points)
    assert ("complete since" in said) is (points[-1] == "after_finish")
    _is_whole(source, postgres, postgres_url)


@pytest.mark.chaos
def test_killed_at_random_moments_it_goes_on_where_it_was(
    source: Source, postgres: Cluster, postgres_url: str
) -> None:
    dice, reached = random.Random(3), 0
    for _ in range(3):
        copying = subprocess.Popen(
            arguments("copy", "--to", postgres_url), env=environment(source.data), stdout=subprocess.DEVNULL
        )
        time.sleep(dice.uniform(1.5, 6))
        copying.kill()
        copying.wait()
        position = _position(postgres, postgres_url)
        assert position >= reached
        reached = position
    _copy(source.data, postgres_url)
    _is_whole(source, postgres, postgres_url)


def _position(postgres: Cluster, url: str) -> int:
    database = url.rsplit("/", 1)[1]
    if postgres.sql("SELECT to_regclass('event_position')", database=database) == [(None,)]:
        return 0
    ((position,),) = postgres.sql("SELECT last_seq FROM event_position", database=database)
    return int(position)


def _is_whole(source: Source, postgres: Cluster, url: str) -> None:
    database = url.rsplit("/", 1)[1]
    stored = len(source.lines["billing"]) - UNDRAINED + len(source.lines["default"])
    ((count, distinct),) = postgres.sql(
        "SELECT count(*), count(DISTINCT seq) FROM events WHERE bucket_id IN "
        "(SELECT id FROM buckets WHERE name IN ('billing', 'default'))",
        database=database,
    )
    assert count == distinct == stored
    assert postgres.sql("SELECT count(*) FROM queue_blocks", database=database) == [(UNDRAINED,)]
    assert postgres.sql("SELECT count(*) FROM dead_letters", database=database) == [(1,)]
    assert _digests(source.data) == source.saved


def test_a_server_on_the_directory_keeps_a_copy_away(source: Source, tmp_path: Path, postgres_url: str) -> None:
    twin = Server(tmp_path / "twin", env=EMBEDDED)
    shutil.copytree(source.data, twin.data_dir)
    try:
        twin.start(env={"HEADRACE_DRAIN": "off"})
        _, said = _copy(twin.data_dir, postgres_url, expect=1)
        assert "is served by process" in said
    finally:
        twin.close()


def test_a_database_with_other_data_is_refused_and_stays_as_it_is(
    source: Source, tmp_path: Path, postgres: Cluster, postgres_url: str
) -> None:
    server = _server_on(postgres_url, tmp_path / "elsewhere")
    try:
        server.start().stop()
    finally:
        server.close()
    _, said = _copy(source.data, postgres_url, expect=1)
    assert "give an empty database" in said
    database = postgres_url.rsplit("/", 1)[1]
    assert postgres.sql("SELECT count(*) FROM headrace_move", database=database) == [(0,)]
    assert postgres.sql("SELECT count(*) FROM users", database=database) == [(0,)]


def test_a_server_that_stores_before_the_copy_is_complete_is_noticed(
    source: Source, tmp_path: Path, postgres_url: str
) -> None:
    _copy(source.data, postgres_url, expect=-signal.SIGKILL, HEADRACE_FAILPOINT="move.after_commit")
    server = _server_on(postgres_url, tmp_path / "elsewhere")
    try:
        server.start()
        with server.client() as admin:
            TestBucket(admin, "default").record({"message": "too early"})
        server.stop()
    finally:
        server.close()
    _, said = _copy(source.data, postgres_url, expect=1)
    assert "give an empty database" in said, "it made buckets and a key"
