"""The proxy itself: each of its faults, before an echo server and before a real PostgreSQL."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from tests.support.pg_wire import ClientBytes
from tests.support.postgres import Cluster
from tests.support.tcp_proxy import TcpProxy


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(65_536):
            self.request.sendall(data)


@pytest.fixture
def proxy() -> Iterator[TcpProxy]:
    """Before a server that says what it hears."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Echo) as echo:
        echo.daemon_threads, echo.block_on_close = True, False
        threading.Thread(target=echo.serve_forever, daemon=True).start()
        with TcpProxy(echo.server_address[1]) as running:
            yield running
        echo.shutdown()


def connect(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def heard(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := client.recv(size - len(data))):
        data += more
    return data


def test_bytes_pass_unchanged_both_ways(proxy: TcpProxy) -> None:
    said = bytes(range(256)) * 2_000
    with connect(proxy) as client:
        threading.Thread(target=client.sendall, args=(said,)).start()
        assert heard(client, len(said)) == said


def test_a_black_hole_takes_connections_and_lets_nothing_through_until_it_is_over(proxy: TcpProxy) -> None:
    with connect(proxy) as old:
        old.sendall(b"first")
        assert heard(old, 5) == b"first"
        proxy.black_hole()
        with connect(proxy) as new:
            for client in (old, new):
                client.sendall(b"lost?")
                client.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    client.recv(1)
                client.settimeout(5)
            proxy.pass_through()
            assert heard(old, 5) == heard(new, 5) == b"lost?"


def test_each_chunk_comes_later(proxy: TcpProxy) -> None:
    proxy.slow(0.15)
    with connect(proxy) as client:
        began = time.monotonic()
        client.sendall(b"late")
        assert heard(client, 4) == b"late"
        assert time.monotonic() - began >= 0.3  # there, and back


def test_bytes_trickle_one_at_a_time(proxy: TcpProxy) -> None:
    proxy.trickle(0.01)
    with connect(proxy) as client:
        began = time.monotonic()
        client.sendall(b"0123456789")
        assert client.recv(10) == b"0"
        assert heard(client, 9) == b"123456789"
        assert time.monotonic() - began >= 0.1


def test_a_reset_ends_what_is_open_and_new_connections_are_taken(proxy: TcpProxy) -> None:
    with connect(proxy) as client:
        client.sendall(b"x")
        assert heard(client, 1) == b"x"
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with connect(proxy) as client:
        client.sendall(b"y")
        assert heard(client, 1) == b"y"


def test_refusing_resets_what_is_open_and_takes_nothing_new(proxy: TcpProxy) -> None:
    with connect(proxy) as client:
        client.sendall(b"x")
        assert heard(client, 1) == b"x"
        proxy.refuse()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.pass_through()
    with connect(proxy) as client:
        client.sendall(b"z")
        assert heard(client, 1) == b"z"


@pytest.fixture
def table(postgres: Cluster, postgres_url: str) -> Iterator[psycopg.Connection[tuple[int, ...]]]:
    """Connected past the proxy."""
    with psycopg.connect(postgres_url, autocommit=True) as direct:
        direct.execute("CREATE TABLE queue_blocks (n int)")
        yield direct


@pytest.fixture
def through(postgres: Cluster, table: psycopg.Connection[tuple[int, ...]]) -> Iterator[TcpProxy]:
    with TcpProxy(postgres.port) as running:
        yield running


def url(proxy: TcpProxy, table: psycopg.Connection[tuple[int, ...]]) -> str:
    return f"postgresql://postgres@127.0.0.1:{proxy.port}/{table.info.dbname}"


def test_a_commit_is_done_and_its_answer_lost(table: psycopg.Connection[tuple[int, ...]], through: TcpProxy) -> None:
    with psycopg.connect(url(through, table), autocommit=True) as client:
        client.execute("SELECT 1")
        through.reset_after_commit(lambda text: "generate_series" in text)
        client.execute("SELECT 2")
        with pytest.raises(psycopg.OperationalError), client.transaction():
            client.execute("INSERT INTO queue_blocks SELECT * FROM generate_series(1, 3)")
    assert through.commits_cut == 1
    assert table.execute("SELECT count(*) FROM queue_blocks").fetchone() == (3,)


def test_a_statement_that_commits_itself_is_done_and_its_answer_lost(
    table: psycopg.Connection[tuple[int, ...]], through: TcpProxy
) -> None:
    with psycopg.connect(url(through, table), autocommit=True, prepare_threshold=None) as client:
        through.reset_after_commit(lambda text: "INSERT INTO queue_blocks" in text)
        client.execute("SELECT %b::int", (1,))
        with pytest.raises(psycopg.OperationalError):
            client.execute("INSERT INTO queue_blocks VALUES (%b)", (7,))
    assert table.execute("SELECT n FROM queue_blocks").fetchall() == [(7,)]
    with psycopg.connect(url(through, table), autocommit=True) as client:  # once means once
        client.execute("INSERT INTO queue_blocks VALUES (%b)", (8,))


def test_a_commit_after_a_copy_is_found_however_the_bytes_are_cut() -> None:
    said = (
        b"\0\0\0\x08\x04\xd2\x16\x2f" + b"\0\0\0\x09\0\x03\0\0\0" + message(b"Q", b"BEGIN\0")
        + message(b"Q", b"COPY events FROM STDIN\0") + message(b"d", b"Q" * 70_000) + message(b"c", b"")
        + message(b"Q", b"COMMIT\0")
    )  # fmt: skip
    for size in (1, 7, 4_096, len(said)):
        client = ClientBytes()
        commits = [(at, client.feed(said[at : at + size])) for at in range(0, len(said), size)]
        ends = [(at + found[0], found[1]) for at, found in commits if found]
        assert ends == [(len(said), "BEGIN\nCOPY events FROM STDIN\nCOMMIT")]


def message(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4) + body
