"""`uvicorn headrace.asgi:app`: for those who run their own ASGI server. `headrace serve` does not need it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack
from typing import Any

from headrace import wiring
from headrace.config import load

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class LifespanApp:
    """Opens Headrace at the server's start-up and closes it at its shutdown."""

    def __init__(self) -> None:
        self._app: Callable[[Scope, Receive, Send], Awaitable[None]] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            assert self._app is not None, "the ASGI server must run the lifespan protocol"
            await self._app(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with AsyncExitStack() as stack:
            try:
                headrace = await stack.enter_async_context(wiring.running(load()))
            except Exception as exc:  # noqa: BLE001 - the ASGI server reports it
                await send({"type": "lifespan.startup.failed", "message": str(exc)})
                return
            self._app = headrace.app
            await send({"type": "lifespan.startup.complete"})
            await receive()
            headrace.services.health.drain()
            headrace.services.history.stop()
            headrace.services.tasks.stop()
            await headrace.services.tail.stop()
        await send({"type": "lifespan.shutdown.complete"})


app = LifespanApp()
