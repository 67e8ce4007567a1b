"""`headrace doctor` on PostgreSQL: what it says of real servers, poolers and replicas."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cli.command import arguments, environment
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import Cluster
from tests.support.server import Server

Lines = dict[str, tuple[str, str]]


def doctor(data: Path, *, expect: int = 0, **settings: str) -> Lines:
    """By subject: the grade, and what was found with what to do. Of several lines of a subject the last."""
    done = subprocess.run(
        arguments("doctor", "--port", "0"), capture_output=True, timeout=110, env=environment(data, **settings),
        check=False,
    )  # fmt: skip
    said = done.stdout.decode()
    assert done.returncode == expect, said + done.stderr.decode()[-2000:]
    lines: Lines = {}
    subject = ""
    for line in said.splitlines():
        if line.startswith(" "):
            grade, found = lines[subject]
            lines[subject] = grade, f"{found} {line.strip()}"
        else:
            subject = line[6:28].strip()
            lines[subject] = line[:5].strip(), line[28:].strip()
    return lines


@pytest.fixture(scope="module")
def safe() -> Iterator[Cluster]:
    """One with fsync, as people have it."""
    cluster = Cluster(safe=True).create()
    try:
        yield cluster.start()
    finally:
        cluster.close()


def test_a_fresh_database_is_fit_and_the_guarantee_is_one_sentence(tmp_path: Path, safe: Cluster) -> None:
    lines = doctor(tmp_path, HEADRACE_DATABASE_URL=safe.create_database())
    assert lines["database"][0] == "ok"
    assert lines["durability"] == (
        "ok", "202 and 201 mean: committed and flushed on one server; that server's disk can still lose it",
    )  # fmt: skip
    assert "none yet" in lines["tables"][1]
    assert {lines[name][0] for name in ("pg_trgm", "connections", "pooler", "clocks")} == {"ok"}


def test_a_server_without_fsync_fails(tmp_path: Path, postgres_url: str) -> None:
    lines = doctor(tmp_path, expect=1, HEADRACE_DATABASE_URL=postgres_url)
    assert lines["durability"][0] == "fail"
    assert "NOT durable: fsync is off" in lines["durability"][1]


def test_parts_of_their_own_promise_their_own(tmp_path: Path, safe: Cluster) -> None:
    one, other = safe.create_database(), safe.create_database()
    lines = doctor(tmp_path, HEADRACE_DATABASE_URL=one, HEADRACE_QUEUE_URL=other)
    assert {"control, events, tasks", "queue"} <= lines.keys()
    assert "queue: 202 means" in lines["durability"][1] or "control, events, tasks: 201 means" in lines["durability"][1]


def test_tasks_in_a_database_of_their_own_are_looked_at(tmp_path: Path, safe: Cluster) -> None:
    place = {"HEADRACE_TASKS_URL": "postgresql://127.0.0.1:1/name"}
    lines = doctor(tmp_path, expect=1, HEADRACE_DATABASE_URL="", **place)
    assert lines["tasks"][0] == "fail"
    lines = doctor(tmp_path, expect=1, HEADRACE_DATABASE_URL=safe.create_database(), **place)
    assert (lines["tasks"][0], lines["control, queue, events"][0]) == ("fail", "ok")


def test_no_answer_a_replica_in_its_place_and_a_bad_url_fail(tmp_path: Path, safe: Cluster) -> None:
    lines = doctor(tmp_path, expect=1, HEADRACE_DATABASE_URL="postgresql://127.0.0.1:1/name")
    assert "cannot be reached" in lines["database"][1]
    lines = doctor(tmp_path, expect=1, HEADRACE_DATABASE_URL="mysql://127.0.0.1/name")
    assert "must begin with postgresql://" in lines["database"][1]


def test_tables_are_those_of_this_program_once_a_server_made_them(tmp_path: Path, safe: Cluster) -> None:
    url = safe.create_database()
    server = Server(tmp_path / "data", env={"HEADRACE_DATABASE_URL": url})
    try:
        server.start().stop()
    finally:
        server.close()
    assert doctor(tmp_path / "data", HEADRACE_DATABASE_URL=url)["tables"] == ("ok", "up to date")
    name = url.rsplit("/", 1)[1]
    safe.sql("UPDATE headrace_layout SET version = 0 WHERE part = 'queue'", database=name)
    for index in ("events_search_idx", "task_history_search"):
        safe.sql(f"DROP INDEX {index}", database=name)
    lines = doctor(tmp_path / "data", HEADRACE_DATABASE_URL=url)
    assert lines["tables"][0] == "warn"
    for index in ("events_search_idx ON events", "task_history_search ON task_history"):
        assert f"CREATE INDEX {index} USING gin" in lines["pg_trgm"][1]


def test_a_pooler_is_noticed_and_what_the_direct_url_is_good_for(tmp_path: Path, safe: Cluster) -> None:
    url = safe.create_database()
    pooler = PgBouncer(safe).start()
    try:
        through = pooler.url(url)
        lines = doctor(tmp_path, HEADRACE_DATABASE_URL=through)
        assert lines["pooler"][0] == "warn"
        assert "HEADRACE_DATABASE_DIRECT_URL" in lines["pooler"][1]
        lines = doctor(tmp_path, HEADRACE_DATABASE_URL=through, HEADRACE_DATABASE_DIRECT_URL=url)
        assert (lines["pooler"][0], lines["direct URL"][0]) == ("ok", "ok")
        lines = doctor(tmp_path, expect=1, HEADRACE_DATABASE_URL=through, HEADRACE_DATABASE_DIRECT_URL=safe.url())
        assert "another database" in lines["direct URL"][1]
    finally:
        pooler.close()


def test_too_few_connections_for_our_processes_fail(tmp_path: Path, safe: Cluster) -> None:
    url = safe.create_database()
    lines = doctor(tmp_path, expect=1, HEADRACE_DATABASE_URL=url, HEADRACE_PROCESSES="20")
    assert lines["connections"][0] == "fail"
    assert "20 × up to" in lines["connections"][1]


def test_a_replica_is_measured_and_one_that_is_none_fails(tmp_path: Path, safe: Cluster) -> None:
    url = safe.create_database()
    replica = safe.replica().start()
    try:
        name = url.rsplit("/", 1)[1]
        lines = doctor(tmp_path, HEADRACE_DATABASE_URL=url, HEADRACE_DATABASE_REPLICA_URLS=replica.url(name))
        assert "behind" in lines["replica 1"][1]
        lines = doctor(tmp_path, expect=1, HEADRACE_DATABASE_URL=url, HEADRACE_DATABASE_REPLICA_URLS=safe.url(name))
        assert "is no replica" in lines["replica 1"][1]
        lines = doctor(tmp_path, expect=1, HEADRACE_DATABASE_URL=replica.url(name))
        assert "takes no writes" in lines["database"][1]
    finally:
        replica.close()
