"""deploy/nginx/headrace.conf in front of a real server: what it lets through, and how it says no."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection

import httpx2
import pytest

from tests.e2e.conftest import assert_problem
from tests.support.nginx import Nginx
from tests.support.raw_http import ask, statuses
from tests.support.server import Server, free_port

PATH = "/v1/buckets/default/events"


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    env = {"HEADRACE_TRUSTED_PROXIES": "127.0.0.1"}
    server = Server(tmp_path_factory.mktemp("behind") / "data", env=env)
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture(scope="module")
def nginx(behind: Server) -> Iterator[Nginx]:
    with Nginx("headrace.conf", {8000: behind.port, 8001: behind.port}) as running:
        yield running


@pytest.fixture
def proxied(nginx: Nginx, behind: Server) -> Iterator[httpx2.Client]:
    headers = {"Authorization": f"Bearer {behind.key}"}
    with httpx2.Client(base_url=nginx.url, headers=headers, timeout=30) as client:
        yield client


def post(client: httpx2.Client, body: bytes, **headers: str) -> httpx2.Response:
    return client.post(PATH, content=body, headers={"content-type": "application/x-ndjson", **headers})


@pytest.mark.parametrize("key", [None, "key-1"])
def test_events_go_in_and_come_out(proxied: httpx2.Client, key: str | None) -> None:
    sent = [{"message": f"one-{key}-{number}"} for number in range(3)]
    lines = "\n".join(map(json.dumps, sent)).encode()
    answer = proxied.post(
        PATH,
        content=lines,
        params={"ack": "stored"},
        headers={"content-type": "application/x-ndjson"} | ({"Idempotency-Key": key} if key else {}),
    )
    assert answer.status_code == 201
    found = proxied.get(PATH, params={"q": f"one-{key}"}).json()["events"]
    assert len(found) == 3


def test_a_body_of_16_mib_passes_and_a_larger_one_is_refused_as_a_problem(proxied: httpx2.Client) -> None:
    line = json.dumps({"message": "x" * 200_000}).encode() + b"\n"
    assert post(proxied, line * 80).status_code == 202
    assert_problem(post(proxied, line * 90), 413, "too-large")


def test_a_chunked_body_that_is_too_large_is_refused_as_well(nginx: Nginx, behind: Server) -> None:
    head = (f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {behind.key}\r\nTransfer-Encoding: chunked\r\n"
            "Connection: close\r\nContent-Type: application/x-ndjson\r\n\r\n")  # fmt: skip
    chunk = b"%x\r\n%s\r\n" % (1 << 20, b"x" * (1 << 20))
    with socket.create_connection(("127.0.0.1", nginx.port), timeout=30) as connection:
        connection.sendall(head.encode())
        try:
            for _ in range(18):
                connection.sendall(chunk)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it did not wait for the rest
        assert b" 413 " in connection.recv(65_536).split(b"\r\n")[0]


def test_a_restore_is_not_cut_off_by_its_size(proxied: httpx2.Client) -> None:
    answer = proxied.post("/v1/restore", content=b"\0" * (17 << 20), headers={"content-type": "application/x-tar"})
    assert_problem(answer, [400, 422])  # read by the server, which says that it is no backup


def test_the_address_that_counts_is_the_one_that_nginx_sees(proxied: httpx2.Client, behind: Server) -> None:
    claimed = {"x-forwarded-for": "203.0.113.9", "forwarded": "for=203.0.113.9", "x-real-ip": "203.0.113.9"}
    name = f"nobody-{os.urandom(4).hex()}"
    proxied.post("/v1/auth/login", json={"username": name, "password": "wrong"}, headers=claimed)
    with behind.client() as direct:
        time.sleep(1)
        audit = direct.get("/v1/buckets/_audit/events", params={"limit": 200}).text
    assert "203.0.113.9" not in audit


def test_the_request_id_of_the_client_passes_and_else_there_is_one(proxied: httpx2.Client) -> None:
    given = proxied.get("/health/live", headers={"x-request-id": "mine-1"}).headers["x-request-id"]
    made = proxied.get("/health/live").headers["x-request-id"]
    assert given == "mine-1"
    assert len(made) == 32


def test_too_many_sign_ins_are_429_as_a_problem_and_the_rest_still_works(proxied: httpx2.Client) -> None:
    answers = [proxied.post("/v1/auth/refresh", json={"refresh_token": "x"}) for _ in range(60)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert_problem(refused[0], 429, "over-quota")
    assert refused[0].headers["retry-after"] == "1"
    assert proxied.get("/v1/status").status_code == 200


def test_one_address_may_not_have_too_many_requests_open(nginx: Nginx, behind: Server) -> None:
    head = f"GET /v1/buckets/default/tail HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {behind.key}\r\n\r\n".encode()
    unfinished = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n".encode()
    held = []
    try:
        for number in range(256):
            connection = socket.create_connection(("127.0.0.1", nginx.port), timeout=5)
            connection.sendall(head if number < 20 else unfinished)
            held.append(connection)
        time.sleep(0.5)
        refused = ask(nginx.port, b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    finally:
        for connection in held:
            connection.close()
    assert statuses(refused) == [429]
    assert b"application/problem+json" in refused


@pytest.mark.parametrize("path", ["/v1/buckets/default/tail", "/v1/buckets/default/export?format=ndjson"])
def test_streams_are_not_held_back(proxied: httpx2.Client, path: str) -> None:
    with proxied.stream("GET", path) as answer:
        assert answer.status_code == 200
        if "tail" in path:
            threading.Timer(0.3, lambda: post(httpx2.Client(base_url=proxied.base_url, headers=proxied.headers),
                                              b'{"message":"live one"}')).start()  # fmt: skip
        seen = ""
        for text in answer.iter_text():
            seen += text
            if "live one" in seen or "export" in path:
                break
        assert seen


SMUGGLED = b"GET /v1/status HTTP/1.1\r\nHost: x\r\nX-Request-Id: smuggled\r\n\r\n"
ATTEMPTS = {
    "length and chunked": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "chunked, oddly written": b"Transfer-Encoding: xchunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "chunked behind a tab": b"Transfer-Encoding:\tchunked\x0b\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello",
    "a length with a sign": b"Content-Length: +5\r\n\r\nhello",
    "a space before the colon": b"Content-Length : 5\r\n\r\nhello",
    "a chunk whose size is too long": b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff1\r\nx\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_request_cannot_be_hidden_in_another(nginx: Nginx, attempt: str) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
    received = ask(nginx.port, head + ATTEMPTS[attempt], seconds=2)
    assert b"smuggled" not in received
    assert statuses(received)[0] in (400, 401, 501)
    assert len(statuses(received)) == 1


@pytest.mark.parametrize("host", [b"", b"a/b", b"x\x00y", b"x y"])
def test_a_bad_host_is_400_as_a_problem(nginx: Nginx, host: bytes) -> None:
    received = ask(nginx.port, b"GET /health/live HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
    assert statuses(received) == [400]
    assert b"application/problem+json" in received


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("//v1/status", 404),
        ("/v1/users/%2e%2e/status", 404),
        ("/v1/%2e%2e/metrics", 404),
        ("/v1/buckets/%2e%2e/status", 404),
        ("/%2e%2e/%2e%2e/etc/passwd", 400),
        ("/static/%2e%2e/%2e%2e/config.py", 400),
        ("/v1/status%00", 400),
        ("/v1/status%2f", 404),
    ],
)
def test_a_path_that_is_written_oddly_leads_nowhere(nginx: Nginx, behind: Server, path: str, status: int) -> None:
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {behind.key}\r\nConnection: close\r\n\r\n"
    assert statuses(ask(nginx.port, head.encode())) == [status]


LONG, MANY = b"X-Big: " + b"x" * 9_000, b"\r\n".join(b"X-%d: %s" % (number, b"x" * 1_000) for number in range(60))


@pytest.mark.parametrize("head", [LONG, MANY], ids=["a long line", "many lines"])
def test_huge_headers_are_refused_as_a_problem(nginx: Nginx, head: bytes) -> None:
    received = ask(nginx.port, b"GET /health/live HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
    assert statuses(received) == [431]
    assert b"application/problem+json" in received


def test_when_no_server_is_there_it_is_503_as_a_problem() -> None:
    with Nginx("headrace.conf", {8000: free_port(), 8001: free_port()}) as alone:
        answer = httpx2.get(f"{alone.url}/v1/status", timeout=10)
    assert_problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "1"


class Failing:
    """A server that takes a request and hangs up without an answer, and counts."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.requests: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.requests.append(connection.recv(65_536))
            connection.close()

    def close(self) -> None:
        self._socket.close()


@pytest.mark.parametrize(
    ("method", "key", "tries"), [("POST", None, 1), ("POST", "key-2", 2), ("GET", None, 2), ("PATCH", "key-2", 1)]
)
def test_what_was_sent_is_sent_again_only_where_that_is_safe(method: str, key: str | None, tries: int) -> None:
    first, second = Failing(), Failing()
    with Nginx("headrace.conf", {8000: first.port, 8001: second.port}) as nginx:
        connection = HTTPConnection("127.0.0.1", nginx.port, timeout=10)
        connection.request(method, PATH, b"{}" if method != "GET" else None, {"Idempotency-Key": key} if key else {})
        assert connection.getresponse().status == 503
    assert len(first.requests) + len(second.requests) == tries
    first.close()
    second.close()


def test_a_post_goes_to_the_next_server_when_no_connection_could_be_made(behind: Server) -> None:
    with Nginx("headrace.conf", {8000: free_port(), 8001: behind.port}) as nginx:
        headers = {"Authorization": f"Bearer {behind.key}"}
        with httpx2.Client(base_url=nginx.url, headers=headers) as client:
            answers = [client.post(PATH, json={"message": "x"}).status_code for _ in range(20)]
    assert set(answers) == {202}
