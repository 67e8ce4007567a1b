"""A client for one request after another, so thin that what it measures is the server: one send, one receive."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from time import perf_counter
from typing import Any
from urllib.parse import urlencode

import msgspec

from benchmarks.closing import Closing

_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """`seconds` from the first byte sent to the last one received."""

    status: int
    body: bytes
    seconds: float


class Client(Closing):
    """A keep-alive connection to a server on this machine. Raises OSError when it breaks."""

    def __init__(self, port: int, key: str = "", *, cookie: str = "") -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        credential = f"Authorization: Bearer {key}\r\n" if key else f"Cookie: {cookie}\r\n" if cookie else ""
        self._headers = f" HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: */*\r\n{credential}"

    def close(self) -> None:
        self._sock.close()

    def get(self, path: str, **parameters: str | int) -> Answer:
        target = f"{path}?{urlencode(parameters)}" if parameters else path
        return self._exchange(f"GET {target}{self._headers}\r\n".encode())

    def post(self, path: str, body: bytes, content_type: str = "application/json") -> Answer:
        head = f"POST {path}{self._headers}Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        return self._exchange(head.encode() + body)

    def json(self, path: str, **parameters: str | int) -> Any:
        """The body of a good answer. Raises RuntimeError for any other."""
        answer = self.get(path, **parameters)
        if answer.status != 200:
            raise RuntimeError(f"GET {path} {parameters}: {answer.status} {answer.body[:300]!r}")
        return msgspec.json.decode(answer.body)

    def _exchange(self, request: bytes) -> Answer:
        began = perf_counter()
        self._sock.sendall(request)
        data = bytearray(self._receive())
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._receive()
        head = bytes(data[:end]).lower() + b"\r\n"
        at = head.index(b"content-length: ") + 16
        total = end + 4 + int(head[at : head.index(b"\r", at)])
        while len(data) < total:
            data += self._receive()
        return Answer(int(head[9:12]), bytes(data[end + 4 :]), perf_counter() - began)

    def _receive(self) -> bytes:
        data = self._sock.recv(1 << 20)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data
