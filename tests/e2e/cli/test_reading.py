"""`headrace tail`, `query`, `export`, `status` and `buckets` against a real server."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import threading
from pathlib import Path

import pyarrow.parquet as pq

from headrace.cli.traffic import generate
from tests.e2e.cli.command import Cli, arguments
from tests.e2e.conftest import TestBucket
from tests.support import profile
from tests.support.server import Server


def test_query_pages_through_all_and_keeps_digits(cli: Cli, bucket: TestBucket) -> None:
    bucket.record(*(f'{{"message":"m","attributes":{{"n":{number},"x":1.00}}}}' for number in range(2_345)))
    lines = cli("query", "-n", 0, "-o", "ndjson").stdout.splitlines()
    assert len({json.loads(line)["attributes"]["n"] for line in lines}) == len(lines) == 2_345
    assert all(b'"x":1.00}' in line for line in lines)
    assert len(json.loads(cli("query", "-n", 1_500, "-o", "json").stdout)) == 1_500


def test_query_takes_filters_as_options_pairs_and_words(cli: Cli, bucket: TestBucket) -> None:
    bucket.record(
        {"message": "disk almost full", "level": "warning", "service": "db", "attributes": {"host": "a"}},
        {"message": "full disk", "level": "error", "service": "db", "attributes": {"host": "b"}},
        {"message": "all well", "level": "info", "service": "web", "time": "2020-01-01T00:00:00Z"},
    )

    def found(*words: str) -> int:
        return len(cli("query", "-o", "ndjson", *words).stdout.splitlines())

    assert found("disk", "full") == 2
    assert found("disk almost") == 1  # one argument with a space is a phrase
    assert found("--min-level", "error") == 1
    assert found("--level", "warning", "--level", "error") == 2
    assert found("service=db", "attr.host=b") == 1
    assert found("--since", "1h", "--service", "web") == 0
    assert found("--", "-disk") == 1


def test_a_table_cannot_control_the_terminal(cli: Cli, bucket: TestBucket) -> None:
    bucket.record({"message": "\x1b[2J\x07 \u202egnp.exe", "service": "\x1b]0;title\x07"})
    shown = cli("query", "--color").stdout.decode()
    assert "\\x1b[2J\\x07 \\u202egnp.exe" in shown
    assert "\x1b]0" not in shown
    assert "\x1b[2J" not in shown


def test_csv_has_a_row_for_each_event_and_runs_nothing(cli: Cli, bucket: TestBucket) -> None:
    bucket.record({"message": "=1+1", "actor": "a"}, {"message": "b,\n\"c\"", "attributes": {"k": 1}})
    rows = list(csv.DictReader(io.StringIO(cli("query", "-o", "csv", "--order", "asc").stdout.decode(), newline="")))
    assert {row["message"] for row in rows} == {"'=1+1", 'b,\n"c"'}
    exported = cli("export", "-f", "csv").stdout.decode()
    assert sorted(exported.splitlines()) == sorted(cli("query", "-o", "csv").stdout.decode().splitlines())


def test_export_writes_whole_files_in_each_format(cli: Cli, bucket: TestBucket, tmp_path: Path) -> None:
    cli.send(stdin=b"".join(generate(3_000, numbered=True)))
    cli.settle()
    cli("export", "-o", tmp_path / "x.ndjson", "--progress")
    cli("export", "-o", tmp_path / "x.parquet", "level=error")
    numbers = [json.loads(line)["attributes"]["n"] for line in (tmp_path / "x.ndjson").read_bytes().splitlines()]
    assert sorted(numbers) == list(range(3_000))
    errors = sum(b'"level":"error"' in line for line in (tmp_path / "x.ndjson").read_bytes().splitlines())
    assert pq.read_table(tmp_path / "x.parquet").num_rows == errors > 0
    cli("export", "-o", tmp_path / "no", "nonsense=1", expect=4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.ndjson", "x.parquet"]


def test_tail_goes_on_after_a_restart_without_a_gap(server: Server) -> None:
    cli = Cli(server)
    tail = subprocess.Popen(
        arguments("tail", "level=error", "-o", "ndjson"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=cli.env()
    )
    assert tail.stdout is not None
    found: list[str] = []
    came = threading.Semaphore(0)

    def read() -> None:
        assert tail.stdout is not None
        for line in tail.stdout:
            found.append(json.loads(line)["message"])
            came.release()

    threading.Thread(target=read, daemon=True).start()
    try:
        number = 0
        while not came.acquire(timeout=0.3):  # until it follows
            assert number < 100
            cli_record(server, number)
            number += 1
        first = int(found[0])
        for _ in range(2):
            server.kill()
            server.start()
            cli_record(server, number)
            number += 1
        for _ in range(number - first - 1):
            assert came.acquire(timeout=20), found
    finally:
        tail.kill()
        tail.wait()
    if profile.NAME == profile.POSTGRES:  # in order of storing: what a killed process had taken comes after its lease
        found.sort(key=int)
    assert found == [str(n) for n in range(first, number)]


def cli_record(server: Server, number: int) -> None:
    with server.client() as client:
        events = [{"message": str(number), "level": "error"}, {"message": "other", "level": "info"}]
        client.post("/v1/buckets/default/events", json=events).raise_for_status()


def test_status_tells_how_it_is(cli: Cli) -> None:
    assert json.loads(cli("status", "--json").stdout)["ready"] is True
    assert b"queue depth" in cli("status").stdout


def test_buckets_are_made_listed_and_deleted(cli: Cli) -> None:
    cli("buckets", "create", "from-cli", "--retention-days", 7, "--description", "made here")
    listed = cli("buckets", "list").stdout.decode()
    assert "from-cli" in listed
    assert "7 days" in listed
    cli("buckets", "delete", "from-cli", "--yes")
    assert "from-cli" not in cli("buckets", "list").stdout.decode()
    cli("buckets", "delete", "from-cli", "--yes", expect=4)
