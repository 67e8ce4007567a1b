"""The listening socket, from its bind to the last connection that came through it.

A connection that the kernel has made and nobody has taken yet is reset when the socket is closed, and a proxy that had
sent a request on it cannot know what became of that. So first nobody new is let in, then everybody who is there is
taken, and only then the socket is closed: who comes later is refused, and a proxy tries the next server.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from contextlib import suppress

from headrace.errors import Unusable

BACKLOG = 2_048
ARRIVING_SECONDS = 0.05  # for the handshakes that have begun: more than a round trip inside of one network
_ATTACH_FILTER = 26  # SO_ATTACH_FILTER of Linux; Python has no name for it
# Classic BPF (Linux, networking/filter): drop what carries SYN, pass the rest. A dropped SYN is sent again after 1 s,
# and then refused. The connections that are made already inherit the filter, and never see a SYN.
_NO_SYN = ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))


def listen(host: str, port: int) -> socket.socket:
    """Bound, and not listening yet. Raises Unusable."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as exc:
        sock.close()
        raise Unusable(
            f"cannot listen on {host}:{port}: {exc.strerror}. "
            "Is another server running there? Choose another port with --port or HEADRACE_PORT."
        ) from exc
    return sock


def let_nobody_in(sock: socket.socket) -> None:
    """New connections are neither made nor refused from here on. Where the system cannot do that, nothing changes."""
    code = b"".join(struct.pack("HBBI", *one) for one in _NO_SYN)
    held = ctypes.create_string_buffer(code, len(code))
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HL", len(_NO_SYN), ctypes.addressof(held)))


def take_all(sock: socket.socket) -> list[socket.socket]:
    """Every connection that is made and that nobody has taken yet. `sock` does not block."""
    taken = []
    with suppress(OSError):  # BlockingIOError: that was the last one
        while True:
            connection, _ = sock.accept()
            connection.setblocking(False)
            taken.append(connection)
    return taken
