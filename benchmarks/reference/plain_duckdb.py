"""`python -m benchmarks.reference.plain_duckdb COPY TABLE THREADS`: plain DuckDB with the same data.

Reads the events out of COPY, a copy of the server's file, into a table that DuckDB itself writes into the file TABLE,
in the order in which they came, and then answers questions about it, one line of JSON each, in this process.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from time import perf_counter

import duckdb
import msgspec

from benchmarks.closing import Closing
from benchmarks.machine import ROOT
from benchmarks.process import Cores, Process

COLUMNS = (
    "id_hi, id_lo, time, received_at, level, service, action, actor_id, actor_type, actor_name, target_id, "
    "target_type, target_name, outcome, message, attributes, trace_id, span_id"
)


class Question(msgspec.Struct):
    """One statement with several sets of parameters in turn, each once to warm up, then until `seconds` are over."""

    sql: str
    variants: list[list[str]]
    seconds: float


class Reply(msgspec.Struct):
    """How long each took, and how many rows each variant brought."""

    seconds: list[float]
    rows: list[int]


class PlainDuckDB(Closing):
    """That process, seen from the benchmark; pinned to the server's core."""

    def __init__(self, copy: Path, cores: Cores, threads: int) -> None:
        arguments = ["benchmarks.reference.plain_duckdb", str(copy), str(copy.with_suffix(".plain")), str(threads)]
        self._process = Process(arguments, cores.server, ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.events = int(self._read())

    def close(self) -> None:
        self._process.end()

    def ask(self, question: Question) -> Reply:
        assert self._process.popen.stdin is not None
        self._process.popen.stdin.write(msgspec.json.encode(question) + b"\n")
        self._process.popen.stdin.flush()
        return msgspec.json.decode(self._read(), type=Reply)

    def _read(self) -> bytes:
        assert self._process.popen.stdout is not None
        line = self._process.popen.stdout.readline()
        if not line:
            raise RuntimeError("plain DuckDB ended; its error is above")
        return line


def main() -> None:
    copy, table, threads = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    connection = duckdb.connect(str(table), config={"threads": threads})
    connection.execute(f"ATTACH '{copy}' AS stored (READ_ONLY)")
    largest = "SELECT bucket_id FROM stored.events GROUP BY 1 ORDER BY count(*) DESC LIMIT 1"
    connection.execute(
        f"CREATE TABLE events AS SELECT {COLUMNS} FROM stored.events WHERE bucket_id = ({largest}) ORDER BY seq"
    )
    connection.execute("DETACH stored")
    connection.execute("CHECKPOINT")
    print((connection.execute("SELECT count(*) FROM events").fetchone() or (0,))[0], flush=True)
    while line := sys.stdin.readline():
        reply = _answer(connection, msgspec.json.decode(line, type=Question))
        print(msgspec.json.encode(reply).decode(), flush=True)


def _answer(connection: duckdb.DuckDBPyConnection, question: Question) -> Reply:
    rows = [len(connection.execute(question.sql, variant).fetchall()) for variant in question.variants]
    seconds: list[float] = []
    end = perf_counter() + question.seconds
    while perf_counter() < end or len(seconds) < len(question.variants):
        began = perf_counter()
        connection.execute(question.sql, question.variants[len(seconds) % len(question.variants)]).fetchall()
        seconds.append(perf_counter() - began)
    return Reply(seconds, rows)


if __name__ == "__main__":
    main()
