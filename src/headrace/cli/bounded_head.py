"""What may come over a connection before anybody looks at it: uvicorn with httptools has no bound of its own.

A head that never ends grew the process by 20 bytes for each that was sent (40 MB of short headers: 800 MB), and a
connection that never sent one stayed for ever. Neither needs a credential.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MOST_BYTES = 64 * 1024  # and what one read brings (256 KB); nginx takes 8 + 32
HEAD_SECONDS = 30.0
_BODY = (
    b'{"type":"/problems/head-too-large","title":"Head too large","status":431,'
    b'"detail":"The headers of a request may have 65536 bytes."}'
)
_REFUSAL = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-type: application/problem+json\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)


class BoundedHead(HttpToolsProtocol):
    """Closes a connection whose head (or trailer) is too long or too slow."""

    _quiet = 0
    """Bytes since a head was whole or a body went on."""
    _moved = False
    _in_head = True
    _timer: asyncio.TimerHandle | None = None
    _leaving = False

    def leave(self) -> None:
        """Say with the next answer that it is the last. One that has begun said already that it is not."""
        self._leaving = True
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_started:
            cycle.keep_alive = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._set_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._drop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._moved = False
        super().data_received(data)
        if self._moved:
            self._quiet = 0
        else:
            self._quiet += len(data)
            if self._quiet > MOST_BYTES:
                self._refuse()
        if self._in_head and self._timer is None:
            self._set_timer()

    def on_message_begin(self) -> None:
        self._moved = self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._moved, self._in_head = True, False
        self._drop_timer()
        super().on_headers_complete()
        if self._leaving:
            self.leave()

    def on_body(self, body: bytes) -> None:
        self._moved = True
        super().on_body(body)

    def _refuse(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle  # none before the first request, whatever uvicorn's type says
        answering = cycle is not None and not cycle.response_complete
        if not answering and not self.transport.is_closing():  # else it would end up inside of another answer
            self.transport.write(_REFUSAL)
        self._drop_timer()
        self.transport.close()

    def _set_timer(self) -> None:
        if not self.transport.is_closing():
            self._timer = self.loop.call_later(HEAD_SECONDS, self._close_late)

    def _drop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close_late(self) -> None:
        self._timer = None
        if self._in_head:
            self.transport.close()
