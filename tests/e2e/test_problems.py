"""Whatever goes wrong is answered as problem+json, with the right status and the headers that belong to it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx2
import pytest

from tests.e2e.conftest import TestBucket, assert_problem
from tests.support.postgres import Cluster
from tests.support.server import Server

WRITE = "/v1/buckets/default/events"


@pytest.fixture(scope="module")
def on_postgres(postgres: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """On this profile, whichever the others run on."""
    url = postgres.create_database()
    running = Server(tmp_path_factory.mktemp("on-postgres") / "data", env={"HEADRACE_DATABASE_URL": url})
    try:
        yield running.start()
    finally:
        running.close()
        postgres.drop_database(url)


GUARDED = [
    ("POST", WRITE), ("GET", WRITE), ("GET", "/v1/buckets"), ("POST", "/v1/buckets"), ("GET", "/v1/buckets/default"),
    ("PATCH", "/v1/buckets/default"), ("DELETE", "/v1/buckets/default"), ("GET", f"{WRITE}/x"),
    ("GET", "/v1/buckets/default/histogram"), ("GET", "/v1/buckets/default/facets"),
    ("GET", "/v1/buckets/default/tail"), ("GET", "/v1/buckets/default/export"), ("GET", "/v1/status"),
    ("GET", "/v1/dead-letters"),
    ("POST", "/v1/dead-letters/replay"), ("GET", "/v1/backup"), ("POST", "/v1/restore"),
    ("POST", "/v1/buckets/nothing-here/events"), ("GET", "/v1/buckets/nothing-here/events"),
]  # fmt: skip
CREDENTIALS = [
    None, "", "Bearer", "Bearer x", "Bearer hr_x_y", "Basic YTpi", "hr_x_y", "Bearer " + "x" * 10_000,
    "Bearer hr_aaaaaaaaaaaa_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "Bearer \xff",
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_no_door_opens_without_a_key(shared_server: Server, method: str, path: str) -> None:
    with shared_server.client(key="") as stranger:
        answer = stranger.request(method, path, content=b"{broken")
        assert_problem(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", [WRITE, "/v1/status"])
@pytest.mark.parametrize("credential", CREDENTIALS, ids=lambda value: repr(value)[:30])
def test_no_odd_credential_opens_a_door(shared_server: Server, path: str, credential: str | None) -> None:
    headers = {} if credential is None else {"authorization": credential.encode("latin-1")}
    with httpx2.Client(base_url=shared_server.url) as stranger:
        method = "POST" if path == WRITE else "GET"
        assert_problem(stranger.request(method, path, headers=headers, content=b"{}"), 401)  # type: ignore[arg-type]


def test_a_key_with_one_character_changed_is_none(shared_server: Server) -> None:
    key = shared_server.key
    other = key[:-1] + ("a" if key[-1] != "a" else "b")
    with shared_server.client(key=other) as stranger:
        assert_problem(stranger.get("/v1/status"), 401)
    with shared_server.client() as known:
        assert known.get("/v1/status").status_code == 200


NOWHERE = ["/x", "/v1", "/v1/buckets/", "/v1/buckets/default/nothing", f"{WRITE}/", "/v2/buckets"]


@pytest.mark.parametrize("path", NOWHERE)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_path_is_404(client: httpx2.Client, method: str, path: str) -> None:
    assert_problem(client.request(method, path), 404, "no-such-path")


@pytest.mark.parametrize(("method", "path", "allow"), [
    ("PUT", WRITE, "GET, HEAD, OPTIONS, POST"),
    ("DELETE", "/v1/buckets", "GET, HEAD, OPTIONS, POST"),
    ("POST", "/v1/buckets/default", "DELETE, GET, HEAD, OPTIONS, PATCH"),
    ("POST", "/health/ready", "GET, HEAD, OPTIONS"),
])  # fmt: skip
def test_a_wrong_method_is_405_with_allow(client: httpx2.Client, method: str, path: str, allow: str) -> None:
    answer = client.request(method, path)
    assert_problem(answer, 405)
    assert answer.headers["allow"] == allow


KINDS = ["text/plain", "application/xml", "multipart/form-data", "application/x-www-form-urlencoded"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", [WRITE, "/v1/buckets"])
def test_an_unknown_content_type_is_415(client: httpx2.Client, kind: str, path: str) -> None:
    assert_problem(client.post(path, content=b"{}", headers={"content-type": kind}), 415)


@pytest.mark.parametrize("encoding", ["br", "compress", "x", "gzip, br"])
@pytest.mark.parametrize("path", [WRITE, "/v1/buckets"])
def test_an_unknown_content_encoding_is_415(client: httpx2.Client, encoding: str, path: str) -> None:
    headers = {"content-type": "application/json", "content-encoding": encoding}
    assert_problem(client.post(path, content=b"{}", headers=headers), 415)


@pytest.mark.parametrize("path", [WRITE, "/v1/buckets", "/v1/status", "/health/live"])
def test_an_unknown_parameter_is_400(client: httpx2.Client, path: str) -> None:
    method = "POST" if path == WRITE else "GET"
    answer = client.request(method, path, params={"colour": "red"})
    assert assert_problem(answer, 400)["errors"][0]["field"] == "colour"


def test_a_body_over_the_limit_is_413_at_the_other_doors(client: httpx2.Client) -> None:
    big = b'{"name": "a", "description": "' + b"x" * (1 << 20) + b'"}'
    assert_problem(client.post("/v1/buckets", content=big, headers={"content-type": "application/json"}), 413)


@pytest.mark.parametrize(("method", "path", "does"), [
    ("GET", "/v1/backup", "pg_dump"),
    ("POST", "/v1/restore", "pg_restore"),
])  # fmt: skip
def test_where_a_server_keeps_the_data_backups_are_a_409_that_names_its_tool(
    on_postgres: Server, method: str, path: str, does: str
) -> None:
    with on_postgres.client() as client:
        answer = client.request(method, path, content=b"x", headers={"content-type": "application/x-tar"})
        assert does in assert_problem(answer, 409, "not-embedded")["detail"]
        assert "409" in client.get("/openapi.json").json()["paths"][path][method.lower()]["responses"]


def test_every_answer_has_a_request_id(bucket: TestBucket) -> None:
    for answer in (bucket.post(b'{"message": "x"}'), bucket.client.get("/v1/status"), bucket.client.get("/x")):
        assert answer.headers["x-request-id"]
    kept = bucket.post(b"{broken", headers={"x-request-id": "mine-1"})
    assert kept.headers["x-request-id"] == "mine-1"


# --- What no client library would send ----------------------------------------------------------------------------


def speak(server: Server, *parts: bytes, wait: float = 5) -> bytes:
    """Send bytes as they are; what comes back until the connection is closed or silent."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=wait) as connection:
        came = b""
        try:
            for part in parts:
                connection.sendall(part)
            while piece := connection.recv(65536):
                came += piece
                if b"\r\n\r\n" in came and (b"problem+json" not in came or came.rstrip().endswith(b"}")):
                    break
        except OSError:
            pass
        return came


LINES: dict[str, bytes] = {
    "no HTTP at all": b"hello\r\n\r\n",
    "half a request line": b"GET\r\n\r\n",
    "a space in the path": b"GET /v1/ buckets HTTP/1.1\r\nhost: x\r\n\r\n",
    "an absolute address": b"GET http://evil.example/v1/status HTTP/1.1\r\nhost: evil.example\r\n\r\n",
    "two lengths": b"POST /v1/buckets HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
    "a length and chunks": (
        b"POST /v1/buckets HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "a negative length": b"POST /v1/buckets HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
    "a broken chunk": b"POST /v1/buckets HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    "a folded header": b"GET /v1/status HTTP/1.1\r\nhost: x\r\na: b\r\n c\r\n\r\n",
    "a NUL in a header": b"GET /v1/status HTTP/1.1\r\nhost: x\r\na: \0\r\n\r\n",
    "a huge header": b"GET /v1/status HTTP/1.1\r\nhost: x\r\na: " + b"x" * 200_000 + b"\r\n\r\n",
    "a thousand headers": b"GET /v1/status HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 1000 + b"\r\n",
    "a huge path": b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    "bytes that are no UTF-8 in the path": b"GET /v1/buckets/\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n",
    "an encoded slash and dots": b"GET /v1/buckets/..%2f..%2fetc%2fpasswd HTTP/1.1\r\nhost: x\r\n\r\n",
    "a double slash": b"GET //v1//status HTTP/1.1\r\nhost: x\r\n\r\n",
    "an odd host": b"GET /docs/x HTTP/1.1\r\nhost: evil\"><script>\r\n\r\n",
    "no host": b"GET /x HTTP/1.1\r\n\r\n",
    "an upgrade": b"GET /v1/status HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n",
    "a connect": b"CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example:443\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("sent", LINES.values(), ids=LINES.keys())
def test_bytes_that_are_no_good_request_get_a_4xx_or_nothing_and_the_server_lives(
    shared_server: Server, sent: bytes
) -> None:
    came = speak(shared_server, sent)
    assert came == b"" or came.split(b" ", 2)[1].startswith(b"4"), came[:300]
    assert b"Traceback" not in came
    assert b"<script>" not in came
    with shared_server.client() as client:
        assert client.get("/health/live").status_code == 200


def test_forwarded_headers_of_strangers_count_for_nothing(client: httpx2.Client) -> None:
    headers = {"x-forwarded-proto": "https", "x-forwarded-host": "evil.example", "x-forwarded-for": "1.2.3.4"}
    assert "evil.example" not in client.get("/", headers=headers).text
    assert client.get("/v1/status", headers=headers).status_code == 200


def test_a_hundred_slow_bodies_do_not_keep_others_waiting(shared_server: Server) -> None:
    headers = f"host: x\r\nauthorization: Bearer {shared_server.key}\r\ncontent-length: 100"
    head = f"POST {WRITE} HTTP/1.1\r\n{headers}\r\n\r\n{{"
    slow = [socket.create_connection(("127.0.0.1", shared_server.port)) for _ in range(100)]
    try:
        for connection in slow:
            connection.sendall(head.encode())
        with shared_server.client(timeout=3) as client:
            assert client.post(WRITE, json={"message": "quick"}).status_code == 202
    finally:
        for connection in slow:
            connection.close()
