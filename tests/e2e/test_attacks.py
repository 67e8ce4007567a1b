"""Attacks on a running server, as a stranger or a small user would make them: each failed, or was made to fail."""

from __future__ import annotations

import json
import os
import socket
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import httpx2
import pytest

from tests.e2e.cli.command import Cli
from tests.support.people import PASSWORD, Person, link_in, newest_mail, person, token_of
from tests.support.server import Server

ENV = {"HEADRACE_GUESSES_PER_ADDRESS": "100000"}  # all tests come from one address


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("attacks") / "data", env=ENV)
    try:
        yield running.start()
        running.stop()
    finally:
        running.close()


@pytest.fixture
def anyone(house: Server) -> Iterator[httpx2.Client]:
    with house.client(key="") as client:
        yield client


def send(house: Server, *pieces: bytes) -> bytes:
    """What comes back for bytes that no decent client sends, until the server closes; empty if it just closes."""
    answer = b""
    with socket.create_connection(("127.0.0.1", house.port), timeout=10) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            while part := connection.recv(65_536):
                answer += part
        except ConnectionError:  # it closed while we were still sending
            pass
    return answer


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def memory_mib(house: Server) -> int:
    assert house.process is not None
    return int(Path(f"/proc/{house.process.pid}/statm").read_text().split()[1]) * 4 // 1024


# --- Before anybody looks at a request ----------------------------------------------------------------------------

GET = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
HEADERS = b"X: y\r\n" * 10_000
CHUNKED = b"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n"


@pytest.mark.parametrize(
    ("begin", "more"),
    [(GET, HEADERS), (GET + b"X: ", b"a" * 60_000), (b"GET /", b"a" * 60_000), (CHUNKED, HEADERS)],
    ids=["many headers", "one long header", "a long path", "trailers"],
)  # fmt: skip
def test_a_head_that_never_ends_is_cut_off_before_it_fills_the_memory(
    house: Server, begin: bytes, more: bytes
) -> None:
    before = memory_mib(house)
    answer = send(house, begin, *[more] * 300)  # 18 MB; without a bound 360 MB of memory
    assert status_of(answer) in (0, 400, 422, 431)  # 0: closed while we were sending
    assert memory_mib(house) < before + 60


def test_a_head_of_a_usual_length_is_taken(house: Server) -> None:
    answer = send(house, GET + b"Connection: close\r\nX: " + b"a" * 40_000, b"a" * 10_000 + b"\r\n\r\n")
    assert status_of(answer) == 200


def test_a_large_body_at_a_door_without_a_credential_is_refused_unread(anyone: httpx2.Client) -> None:
    fields = b"{" + b",".join(b'"%d":1' % number for number in range(80_000)) + b"}"
    form = {"content-type": "application/x-www-form-urlencoded"}
    for path in ("register", "login", "refresh", "verify", "logout", "password-reset", "password-reset/confirm"):
        headers = {"content-type": "application/json"}
        assert anyone.post(f"/v1/auth/{path}", content=fields, headers=headers).status_code == 413
    assert anyone.post("/v1/auth/token", content=b"&" * 1_000_000, headers=form).status_code == 413


NOT_A_NUMBER = b'{"username": NaN, "password": -Infinity}'


@pytest.mark.parametrize(
    "body",
    [b"[" * 16_000, b'{"username":' * 1_000, b'{"username":' + b"1" * 15_000 + b"}", NOT_A_NUMBER, b"\xff\xfe{", b"\0",
     b'{"username": "\\ud800@example.com", "password": "\\ud800 or what"}', b'{"username": {"$ne": 1}}'],
    ids=range(8),
)  # fmt: skip
def test_a_body_that_chokes_parsers_is_refused_at_the_doors_of_signing_in(anyone: httpx2.Client, body: bytes) -> None:
    for path in ("login", "register", "refresh", "verify"):
        answer = anyone.post(f"/v1/auth/{path}", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 422)
        assert "Traceback" not in answer.text


@pytest.mark.parametrize("request_line", [b"GET /v1/users/me", b"POST /v1/buckets/default/events"])
@pytest.mark.parametrize("first", [True, False])
def test_two_credentials_are_none_since_a_proxy_may_have_looked_at_the_other(
    house: Server, request_line: bytes, first: bool
) -> None:
    both = [house.key.encode(), b"hr_aaaaaaaaaaaaaaaa_" + b"a" * 32][:: 1 if first else -1]
    head = b"".join(b"Authorization: Bearer %s\r\n" % key for key in both)
    rest = b"Host: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    assert status_of(send(house, request_line + b" HTTP/1.1\r\n" + head + rest)) == 401


# --- Links --------------------------------------------------------------------------------------------------------


def test_a_link_that_a_thief_of_mail_kept_is_dead_once_the_password_was_changed(
    house: Server, anyone: httpx2.Client
) -> None:
    victim = person(house)
    address = f"{victim.username}@example.com"
    anyone.post("/v1/auth/password-reset", json={"email": address})
    stolen = token_of(link_in(newest_mail(house, address)))
    with house.client(key=victim.access_token) as client:
        new = {"password": "seven drums under the ferry", "current_password": PASSWORD}
        assert client.patch("/v1/users/me", json=new).status_code == 200
    answer = anyone.post("/v1/auth/password-reset/confirm", json={"token": stolen, "password": PASSWORD})
    assert answer.status_code == 410


def test_no_header_of_a_request_gets_into_a_mail(house: Server, anyone: httpx2.Client) -> None:
    victim = person(house)
    address = f"{victim.username}@example.com"
    names = ("host", "x-forwarded-host", "x-forwarded-server", "x-host", "origin")
    forged = dict.fromkeys(names, "evil.example")
    forged |= {"forwarded": "host=evil.example", "x-forwarded-proto": "gopher", "x-original-url": "//evil.example/"}
    anyone.post("/v1/auth/password-reset", json={"email": address}, headers=forged)
    mail = newest_mail(house, address)
    assert link_in(mail).startswith(f"{house.url}/reset-password?token=")
    assert "evil" not in mail.as_string()
    assert "evil" not in anyone.get("/", headers=forged).text


# --- On the machine -----------------------------------------------------------------------------------------------


@pytest.mark.embedded("a restore replaces files")
def test_nobody_else_on_the_machine_reads_the_data_whatever_the_umask_also_not_after_a_restore(tmp_path: Path) -> None:
    data = tmp_path / "data"
    before = os.umask(0)
    try:
        data.mkdir(mode=0o777)  # somebody made it, or an image did
        server = Server(data)
        server.start()
    finally:
        os.umask(before)
    try:
        with server.client() as root:
            tar = root.get("/v1/backup").content
            sent = root.post("/v1/restore", content=tar, headers={"content-type": "application/x-tar"})
            assert sent.status_code == 202
        deadline = time.monotonic() + 20
        while not (data / "before-restore" / "control.db").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        server.wait_ready()
        modes = {path.relative_to(data): stat.S_IMODE(path.stat().st_mode) for path in data.rglob("*")}
        assert Path("before-restore/control.db") in modes
        assert {path: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}
    finally:
        server.close()


def test_what_others_wrote_cannot_control_the_terminal_of_the_administrator(house: Server) -> None:
    name = f"evil-{time.time_ns():x}"
    with house.client(key=person(house, role="manager").access_token) as manager:
        hostile = "\x1b]0;owned\x07\x1b[2J\u202e\x9b31m\rnothing to see"
        assert manager.post("/v1/buckets", json={"name": name, "description": hostile}).status_code == 201
    shown = Cli(house)("buckets", "list").stdout
    assert name.encode() in shown
    assert not [character for character in shown.decode() if character in "\x1b\x07\x9b\r\u202e"]


NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize(
    ("status", "words", "expect"), [(200, ["users", "setup-link", NOBODY], 0), (400, ["status"], 4)]
)  # fmt: skip
def test_a_hostile_server_cannot_control_the_terminal_either(
    house: Server, status: int, words: list[str], expect: int
) -> None:
    hostile = json.dumps({"setup_url": "\x1b[2J", "detail": "\x1b[2J"}).encode()
    with _answering(status, hostile) as url:
        done = Cli(house)(*words, "--url", url, "--key", "x", expect=expect)
    assert b"\x1b[2J" not in done.stdout + done.stderr
    assert rb"\x1b[2J" in done.stdout + done.stderr


@contextmanager
def _answering(status: int, body: bytes) -> Iterator[str]:
    """A server that says this to everything."""

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - as http.server has it

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Door) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


# --- What was tried in vain, and is kept --------------------------------------------------------------------------


def test_of_many_at_once_with_one_refresh_token_at_most_one_is_served_and_the_session_ends(house: Server) -> None:
    victim = person(house)

    def refresh(_: int) -> int:
        with house.client(key="") as client:
            return client.post("/v1/auth/refresh", json={"refresh_token": victim.refresh_token}).status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(refresh, range(4))) in ([200] + [401] * 3, [401] * 4)
    assert refresh(0) == 401


def test_of_two_last_administrators_demoted_at_once_one_stays(house: Server) -> None:
    admins = [person(house, role="admin") for _ in range(2)]

    def demote(somebody: Person) -> int:
        with house.client() as root:
            return root.patch(f"/v1/users/{somebody.id}", json={"role": "user"}).status_code

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(demote, admins)) == [200, 409]


NAMES = ["{}\u200b", "{}.", "{}@example.com.", "{}+x@example.com", "\u24df{}", "{}@example.com\0", "\u212a", "\u0131"]


def test_a_name_that_only_looks_like_another_is_nobodys(house: Server, anyone: httpx2.Client) -> None:
    victim = person(house)
    for spelling in NAMES:
        body = {"username": spelling.format(victim.username), "password": PASSWORD}
        assert anyone.post("/v1/auth/login", json=body).status_code == 401, spelling


PATHS = [b"//v1/users", b"/v1//users", b"/v1/users/", b"/V1/users", b"/v1/users/%2e%2e/keys", b"/v1/./users",
         b"/%2e/v1/users", b"/v1/users%00", b"/v1/users;x=1", b"/v1/%75sers", b"/v1/buckets/%5faudit/events",
         b"/v1/buckets/_audit%2fevents"]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_no_spelling_of_a_path_leads_past_its_door(house: Server, path: bytes) -> None:
    for method in (b"GET", b"HEAD", b"POST", b"PATCH", b"DELETE"):
        rest = b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        answer = send(house, method + b" " + path + rest)
        assert status_of(answer) in (401, 404, 405)
