"""Connections whose heads are too long or too slow."""

from __future__ import annotations

import asyncio

import pytest
import uvicorn

from headrace.cli import bounded_head
from headrace.cli.bounded_head import BoundedHead


async def _app(scope: object, receive: object, send: object) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})  # type: ignore[operator]
    await send({"type": "http.response.body"})  # type: ignore[operator]


@pytest.fixture
async def port() -> object:
    config = uvicorn.Config(_app, http=BoundedHead, lifespan="off", log_config=None)  # type: ignore[arg-type]
    config.load()
    state = uvicorn.server.ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: BoundedHead(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nX: "])
async def test_who_does_not_finish_a_head_is_hung_up_on(
    port: int, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_head, "HEAD_SECONDS", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    answered = await asyncio.wait_for(reader.read(), 5)
    assert answered.count(b"204") == sent.count(b"\r\n\r\n")
    writer.close()


async def test_who_waits_between_two_requests_is_not(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_head, "HEAD_SECONDS", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert b"204" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        await asyncio.sleep(0.15)
    writer.close()
