"""HTTP as bytes, for what no client library would send."""

from __future__ import annotations

import socket


def ask(port: int, sent: bytes, *, seconds: float = 10) -> bytes:
    """All that comes back until the other side closes, or is silent for `seconds`."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(sent)
        received = b""
        try:
            while chunk := connection.recv(65_536):
                received += chunk
        except (TimeoutError, ConnectionResetError):
            pass
        return received


def statuses(received: bytes) -> list[int]:
    """Of every answer in it."""
    return [int(line[9:12]) for line in received.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
