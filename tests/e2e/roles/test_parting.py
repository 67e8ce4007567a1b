"""What a server does with its connections from SIGTERM to its end."""

from __future__ import annotations

import signal
import socket
import threading
import time
from http.client import HTTPConnection

import pytest

from tests.support.server import Server

GET = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"


def connected(server: Server) -> HTTPConnection:
    """A connection that has had one answer."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", "/health/live")
    assert connection.getresponse().read()
    return connection


def terminate(server: Server) -> None:
    assert server.process is not None
    server.process.send_signal(signal.SIGTERM)


def is_refused(server: Server) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def wait_refused(server: Server) -> None:
    until = time.monotonic() + 5
    while not is_refused(server):
        assert time.monotonic() < until


def test_an_idle_connection_gets_one_more_answer_which_says_that_it_is_the_last(server: Server) -> None:
    connection = connected(server)
    terminate(server)
    wait_refused(server)
    connection.request("GET", "/health/live")
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("connection")) == (200, "close")
    answer.read()
    assert connection.sock is None or connection.sock.recv(1) == b""
    assert server.process is not None
    assert server.process.wait(10) == 0


def test_an_event_is_taken_in_with_the_last_answer(server: Server) -> None:
    connection, key = connected(server), server.key
    terminate(server)
    wait_refused(server)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/buckets/default/events", b'{"message":"last"}', headers)
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("connection")) == (202, "close")
    answer.read()
    assert server.process is not None
    assert server.process.wait(10) == 0
    server.start()
    with server.client() as client:
        found = client.get("/v1/buckets/default/events").json()["events"]
    assert [event["message"] for event in found] == ["last"]


def test_it_is_not_ready_while_it_waits(server: Server) -> None:
    connection = connected(server)
    terminate(server)
    wait_refused(server)
    connection.request("GET", "/health/ready")
    assert connection.getresponse().status == 503


def test_who_is_silent_is_waited_for_only_so_long(server: Server) -> None:
    connection = connected(server)
    terminate(server)
    assert server.process is not None
    assert server.process.wait(9) == 0
    assert connection.sock is not None
    assert connection.sock.recv(1) == b""


@pytest.mark.parametrize("how", ["no connection", "SIGINT", "a second SIGTERM"])
def test_it_does_not_linger_without_a_reason(server: Server, how: str) -> None:
    server.stop()
    server.start(env={"HEADRACE_LINGER": "4"})
    assert server.process is not None
    held = None if how == "no connection" else connected(server)
    server.process.send_signal(signal.SIGINT if how == "SIGINT" else signal.SIGTERM)
    if how == "a second SIGTERM":
        wait_refused(server)
        terminate(server)
    assert server.process.wait(3.5) == 0
    if held:
        held.close()


def test_every_connection_that_was_made_is_answered(server: Server) -> None:
    """The kernel makes connections by itself: none of them may be dropped when the socket is closed."""
    answers: list[bytes] = []
    over = threading.Event()

    def come_and_go() -> None:
        while not over.is_set():
            try:
                made = socket.create_connection(("127.0.0.1", server.port), timeout=5)
            except ConnectionRefusedError:
                time.sleep(0.05)
                continue
            try:
                made.sendall(GET)
                answers.append(made.recv(4_096)[:12])
            except OSError as exc:
                answers.append(repr(exc).encode())
            finally:
                made.close()

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        time.sleep(0.5)
        server.stop()
        server.start()
    over.set()
    for thread in threads:
        thread.join()
    assert len(answers) > 100
    assert set(answers) == {b"HTTP/1.1 200"}
