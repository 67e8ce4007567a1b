"""`http.request` and what guards it, against real servers: of this machine, which is just what must not be reached."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from headrace.handlers.builtin.http_request import http_request
from headrace.handlers.context import Context, Log
from headrace.handlers.outcome import Failed, RetryLater
from headrace.kit import outbound_http
from headrace.kit.outbound import Guard

TASK_ID = "01890000-0000-7000-8000-000000000001"
Answering = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Receiver:
    """A server that keeps what it was sent. `sent` counts the bytes that it could send."""

    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    sent: int = 0
    names: list[str | None] = field(default_factory=list)


@asynccontextmanager
async def receiver(answer: Answering | bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    found = Receiver()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.connections += 1
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
            found.requests.append(head + await reader.readexactly(int(length[0]) if length else 0))
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()


def answered(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + body


def leads_here(names: list[str] | None = None) -> Guard:
    """Every name stands for this machine, which is allowed."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        if names is not None:
            names.append(host)
        return ["127.0.0.1"]

    return Guard(["127.0.0.0/8"], resolve)


async def ask(guard: Guard, url: str, **args: Any) -> dict[str, Any]:
    declared = http_request(guard)
    context = Context(TASK_ID, 1, 7, Log(1, lambda line: None), lambda value: None)
    return await declared.function(ctx=context, url=url, **args)  # type: ignore[no-any-return]  # what it returns is JSON


async def test_json_is_sent_and_the_answer_told() -> None:
    async with receiver(answered(201, b'{"id":1}', Content_Type="application/json", Set_Cookie="a=b")) as shop:
        found = await ask(
            leads_here(), f"http://shop.example:{shop.port}/orders?x=1", method="POST", json={"a": 2**70},
            headers={"Authorization": "Bearer x"},
        )  # fmt: skip
    assert found == {
        "status": 201, "headers": {"content-type": "application/json", "content-length": "8"}, "body": '{"id":1}',
    }  # fmt: skip
    head, _, body = shop.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /orders?x=1 HTTP/1.1"
    assert json.loads(body) == {"a": 2**70}
    assert {
        f"Host: shop.example:{shop.port}", "Authorization: Bearer x", f"Idempotency-Key: {TASK_ID}",
        "Content-Type: application/json", "Accept-Encoding: identity",
    } <= set(lines)  # fmt: skip
    assert len([line for line in lines if line.lower().startswith("host:")]) == 1


@pytest.mark.parametrize("host", [
    "127.0.0.1", "localhost", "[::ffff:7f00:1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f000001", "0177.0.0.1",
    "127.1", "0.0.0.0", "[::]", "127.0.0.1.", "[64:ff9b::7f00:1]",
])  # fmt: skip
async def test_this_machine_is_not_reached_whatever_it_is_called(host: str) -> None:
    async with receiver(answered()) as inside:
        with pytest.raises(Failed):
            await ask(Guard(), f"http://{host}:{inside.port}/")
    assert inside.connections == 0


async def test_a_name_that_means_something_else_a_moment_later_changes_nothing() -> None:
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    async with receiver(answered(body=b"first")) as first:
        found = await ask(Guard(["127.0.0.1/32"], rebinding), f"http://shop.example:{first.port}/")
    assert (found["body"], asked) == ("first", ["shop.example"])


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async with receiver(answered(body=b"secret")) as inside:
        where = f"http://127.0.0.1:{inside.port}/"
        async with receiver(answered(status, Location=where)) as shop:
            with pytest.raises(Failed, match="redirects are not followed"):
                await ask(leads_here(), f"http://shop.example:{shop.port}/")
    assert inside.connections == 0


@pytest.mark.parametrize("status", [429, 408, 425, 500, 503])
async def test_what_may_pass_is_tried_again_when_the_answer_says_so(status: int) -> None:
    async with receiver(answered(status, Retry_After="17")) as shop:
        with pytest.raises(RetryLater, match=str(status)) as raised:
            await ask(leads_here(), f"http://shop.example:{shop.port}/")
    assert raised.value.after == 17


async def test_retry_after_may_be_a_date_and_is_at_most_a_day() -> None:
    for value, low, high in (
        (formatdate(time.time() + 100, usegmt=True), 80, 101), ("999999999999", 86_400, 86_400),
        (formatdate(time.time() - 100, usegmt=True), 0, 0),
    ):  # fmt: skip
        async with receiver(answered(503, Retry_After=value)) as shop:
            with pytest.raises(RetryLater) as raised:
                await ask(leads_here(), f"http://shop.example:{shop.port}/")
        assert low <= (raised.value.after or 0) <= high
    async with receiver(answered(503, Retry_After="soon")) as shop:
        with pytest.raises(RetryLater) as raised:
            await ask(leads_here(), f"http://shop.example:{shop.port}/")
    assert raised.value.after is None


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422])
async def test_other_statuses_fail_for_good_unless_they_are_expected(status: int) -> None:
    async with receiver(answered(status, b"no")) as shop:
        url = f"http://shop.example:{shop.port}/"
        with pytest.raises(Failed, match=f"it answered {status}"):
            await ask(leads_here(), url)
        found = await ask(leads_here(), url, expect=[status])
    assert (found["status"], found["body"]) == (status, "no")


async def test_of_an_answer_without_end_64_kib_are_read() -> None:
    state = {"sent": 0}

    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
        while state["sent"] < 10_000_000_000:
            writer.write(b"x" * 65_536)
            await writer.drain()
            state["sent"] += 65_536

    async with receiver(endless) as shop:
        found = await ask(leads_here(), f"http://shop.example:{shop.port}/", timeout=20)
    assert (len(found["body"]), found["truncated"]) == (65_536, True)
    assert state["sent"] < 20_000_000


async def test_what_is_packed_is_not_unpacked() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)[:60_000]
    async with receiver(answered(200, bomb, Content_Encoding="gzip")) as shop:
        found = await ask(leads_here(), f"http://shop.example:{shop.port}/")
    assert len(found["body"]) <= 65_536


async def _silent(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def _dripping(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(300):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.1)


async def _all_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(10_000_000):
        writer.write(b"X-%d: %s\r\n" % (number, b"x" * 1_000))
        await writer.drain()


async def _no_http(writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
    await writer.drain()


@pytest.mark.parametrize("answer", [_silent, _dripping, _all_headers, _no_http])
async def test_a_receiver_that_does_not_answer_well_is_left_in_time(answer: Answering) -> None:
    async with receiver(answer) as shop:
        began = time.monotonic()
        with pytest.raises(RetryLater):
            await ask(leads_here(), f"http://shop.example:{shop.port}/", timeout=0.7)
        assert time.monotonic() - began < 10


async def test_a_port_where_nobody_listens_is_tried_again_later() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(RetryLater, match="cannot be asked"):
        await ask(leads_here(), f"http://shop.example:{port}/")


@pytest.mark.parametrize(("name", "value"), [
    ("X-A", "a\r\nX-B: b"), ("X-A\r\nX-B", "b"), ("X A", "b"), ("Host", "inside"), ("host", "inside"), ("", "x"),
    ("Transfer-Encoding", "chunked"), ("Content-Length", "5"), ("Connection", "upgrade"), ("X-A", "ä"), ("X-A", "a\0"),
])  # fmt: skip
async def test_headers_that_would_say_more_than_one_thing_are_refused(name: str, value: str) -> None:
    async with receiver(answered()) as shop:
        with pytest.raises(Failed):
            await ask(leads_here(), f"http://shop.example:{shop.port}/", headers={name: value})
    assert shop.connections == 0


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiver(answered(body=b"proxy")) as proxy, receiver(answered(body=b"shop")) as shop:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert (await ask(leads_here(), f"http://shop.example:{shop.port}/"))["body"] == "shop"
    assert proxy.connections == 0


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of `shop.example`, with its key, signed by itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "shop.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("shop.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(secret + made.public_bytes(pem))
    return path


@asynccontextmanager
async def tls_receiver(certificate: Path) -> AsyncIterator[Receiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    names: list[str | None] = []
    context.sni_callback = lambda connection, name, of: names.append(name)
    async with receiver(answered(body=b"safe"), tls=context) as shop:
        shop.names = names
        yield shop


async def test_tls_asks_for_the_name_and_believes_its_certificate_only(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    outbound_http._trust.cache_clear()
    try:
        async with tls_receiver(certificate) as shop:
            assert (await ask(leads_here(), f"https://shop.example:{shop.port}/"))["body"] == "safe"
            assert shop.names == ["shop.example"]
            with pytest.raises(RetryLater, match="cannot be asked"):
                await ask(leads_here(), f"https://other.example:{shop.port}/")
            assert len(shop.requests) == 1
    finally:
        outbound_http._trust.cache_clear()


async def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: Path) -> None:
    async with tls_receiver(certificate) as shop:
        with pytest.raises(RetryLater, match="cannot be asked"):
            await ask(leads_here(), f"https://shop.example:{shop.port}/")
        assert shop.requests == []
