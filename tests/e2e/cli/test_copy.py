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
from typing import Any

import httpx2
import pytest

from headrace.adapters.sqlite.move import SqliteMoveQueue
from headrace.adapters.sqlite.tasks import SqliteTasks
from headrace.model.task_journal import Line
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
WAITING = 12_000  # tasks: three pages of a copy
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
    tasks: list[dict[str, Any]]
    """As the twin's server said, none of them running."""
    blocks: int


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
    lines, tasks = _twin_says(server)
    blocks = asyncio.run(_blocks_in(server.data_dir))
    return Source(server.data_dir, user, key, lines, position, _digests(server.data_dir), tasks, blocks)


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
        _leave_tasks(admin)
    server.kill()
    asyncio.run(_leave_a_line(server.data_dir))


def _leave_tasks(admin: httpx2.Client) -> None:
    """Of every kind, more than one page of them, and one of them leased."""
    assert admin.patch("/v1/queues/slow", json={"paused": True, "concurrency": 3}).status_code == 200
    for sent in (
        {"type": "add", "args": {"a": 5, "b": 10}, "idempotency_key": "sum"},
        {"type": "leased", "queue": "hands", "idempotency_key": "leased"},
        {"type": "later", "delay": "30d"},
        {"type": "slow", "queue": "slow", "priority": 9, "max_attempts": 7},
        *({"type": "keyed", "concurrency_key": "k", "args": {"n": n}} for n in range(3)),
    ):
        assert admin.post("/v1/tasks", json=sent).status_code == 202
    many = "\n".join(json.dumps({"type": "by-hand", "args": {"n": n}}) for n in range(WAITING))
    sent = admin.post("/v1/tasks/batch", content=many, headers={"content-type": "application/x-ndjson"})
    assert sent.json()["accepted"] == WAITING
    nightly = {"name": "nightly", "cron": "0 3 29 2 *", "timezone": "Europe/Berlin", "task": {"type": "by-hand"}}
    assert admin.post("/v1/schedules", json=nightly).status_code == 201
    done = admin.get("/v1/tasks", params={"type": "add"}).json()["tasks"][0]["id"]
    assert admin.get(f"/v1/tasks/{done}", params={"wait": "20s"}).json()["result"] == 15
    assert len(admin.post("/v1/queues/hands/lease", json={"lease_seconds": 1}).json()["tasks"]) == 1


async def _leave_a_line(data: Path) -> None:
    """In the journal; the rest of it is among the blocks that wait, or about to be."""
    tasks = await SqliteTasks.open(data / "tasks.db")
    await tasks.log([Line(1, "by-hand", "default", "nobody", 1, time.time_ns() // 1_000, "info", "not forwarded yet")])
    await tasks.close()


async def _blocks_in(data: Path) -> int:
    return await SqliteMoveQueue(data / "queue.db").count()


def _twin_says(server: Server) -> tuple[dict[str, list[str]], list[dict[str, Any]]]:
    """What a server on a copy of the files answers, once it has drained, and the lease has run out."""
    twin = Server(server.data_dir.parent / "twin", env=EMBEDDED)
    shutil.copytree(server.data_dir, twin.data_dir)
    try:
        lines = _exported(twin.start())
        with twin.client() as admin:
            while admin.get("/v1/tasks", params={"type": "leased"}).json()["tasks"][0]["status"] == "running":
                time.sleep(0.2)
            return lines, _tasks(admin)
    finally:
        twin.close()


def _tasks(admin: httpx2.Client) -> list[dict[str, Any]]:
    """Those that this test made, whatever the house made beside them."""
    found = []
    for kind in ("add", "leased", "later", "slow", "keyed", "by-hand"):
        page: dict[str, Any] = {"next_cursor": None}
        while "next_cursor" in page:
            cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else {}
            page = admin.get("/v1/tasks", params={"type": kind, "limit": 1000, **cursor}).json()
            found += page["tasks"]
    return found


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


def test_tasks_go_on_where_the_copy_is_served(source: Source, copied: str, tmp_path: Path) -> None:
    server = _server_on(copied, tmp_path / "elsewhere")
    try:
        server.start()
        with server.client(key=(source.data / "admin.key").read_text().strip()) as admin:
            _tasks_go_on(source, admin)
            told = TestBucket(admin, "_tasks")
            Cli(server).settle()
            leased = next(task["id"] for task in source.tasks if task["type"] == "leased")
            events = told.list(**{"attr.task_id": leased})
            assert [event["action"] for event in reversed(events)][:3] == ["task.queued", "task.running", "task.queued"]
    finally:
        server.close()


def _tasks_go_on(source: Source, admin: httpx2.Client) -> None:
    assert _tasks(admin) == source.tasks
    repeated = {"type": "add", "args": {"a": 5, "b": 10}, "idempotency_key": "sum"}
    again = admin.post("/v1/tasks", json=repeated)
    assert (again.status_code, again.json()["result"]) == (200, 15)
    queues = {queue["name"]: queue for queue in admin.get("/v1/queues").json()["queues"]}
    assert (queues["slow"]["paused"], queues["slow"]["concurrency"]) == (True, 3)
    assert queues["default"]["depth"] == WAITING + 3
    names = [one["name"] for one in admin.get("/v1/schedules").json()["schedules"]]
    assert names.count("nightly") == 1
    leased = admin.post("/v1/queues/default/lease", json={"max": 10, "types": ["keyed"]}).json()["tasks"]
    assert [task["args"]["n"] for task in leased] == [0]
    (last,) = admin.post("/v1/queues/hands/lease", json={}).json()["tasks"]
    assert last["attempt"] == 2


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
@pytest.mark.parametrize(
    "points",
    [
        ("remembered", "before_finish"), ("queue", "after_finish"),
        ("task_journal", "tasks_before_commit", "tasks_after_commit", "tasks_before_finish", "tasks_after_finish"),
    ],
)  # fmt: skip
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
    assert postgres.sql("SELECT count(*) FROM queue_blocks", database=database) == [(source.blocks,)]
    assert postgres.sql("SELECT count(*) FROM dead_letters", database=database) == [(1,)]
    _has_every_task_once(source, postgres, database)
    assert _digests(source.data) == source.saved


def _has_every_task_once(source: Source, postgres: Cluster, database: str) -> None:
    wanted = {task["id"] for task in source.tasks}
    found = [str(one) for (one,) in postgres.sql(
        "SELECT id FROM tasks UNION ALL SELECT id FROM task_history", database=database
    )]  # fmt: skip
    assert len(found) == len(set(found))
    assert wanted <= set(found)
    counted = postgres.sql(
        "SELECT status, sum(number)::bigint FROM task_counts GROUP BY 1 HAVING sum(number) > 0 ORDER BY 1",
        database=database,
    )
    assert counted == postgres.sql(
        "SELECT least(state, 1), count(*) FROM tasks GROUP BY 1 UNION ALL "
        "SELECT status, count(*) FROM task_history GROUP BY 1 ORDER BY 1",
        database=database,
    )
    waiting = postgres.sql("SELECT count(*) FROM task_ready", database=database)
    assert waiting == postgres.sql("SELECT count(*) FROM tasks WHERE state = 1", database=database)
    assert postgres.sql("SELECT name FROM task_queues WHERE paused", database=database) == [("slow",)]
    assert postgres.sql("SELECT count(*) FROM task_schedules WHERE name = 'nightly'", database=database) == [(1,)]
    told = postgres.sql("SELECT sum(number)::bigint, count(DISTINCT first_id) FROM task_journal", database=database)
    assert told[0][0] >= 2, "the line that was left, and that the leased one is queued again"
    assert told[0][1] == postgres.sql("SELECT count(*) FROM task_journal", database=database)[0][0]


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
