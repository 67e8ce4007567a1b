"""A server that parses nothing: how much the load process can drive at all."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

import uvloop

_ANSWER = b'HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{"id":"x"}'


class _Protocol(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = cast("asyncio.Transport", transport).write  # uvloop's own kind, no subclass of asyncio's

    def data_received(self, _data: bytes) -> None:
        self._write(_ANSWER)


async def _serve(sock: socket.socket) -> None:
    server = await asyncio.get_running_loop().create_server(_Protocol, sock=sock)
    await server.serve_forever()


def serve(sock: socket.socket) -> None:
    uvloop.run(_serve(sock))
