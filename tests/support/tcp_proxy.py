"""A TCP proxy that does what networks do: swallow, delay, trickle, refuse and reset, and (for PostgreSQL) lose the
answer to a COMMIT. It lives in a thread of its own, so that a test may block."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from tests.support.pg_wire import ClientBytes
from tests.support.server import free_port

_CHUNK = 64 * 1024
_PATIENCE = 10  # seconds for a call from the test's thread, and for the server's answer to a commit
_RST = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends RST

T = TypeVar("T")
Wanted = Callable[[str], bool]


def puts(text: str) -> bool:
    """Whether these statements put a block into the queue."""
    return "INSERT INTO queue_blocks" in text


def stores(text: str) -> bool:
    """Whether these statements write events to the store."""
    return "COPY events" in text


@dataclass(eq=False, slots=True)
class _Link:
    """One client, and its connection to the server once that is there."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    said: ClientBytes = field(default_factory=ClientBytes)
    mute: bool = False
    """Answers do not come through any more."""
    answered: asyncio.Event = field(default_factory=asyncio.Event)

    def reset(self) -> None:
        for writer in (self.client, self.server):
            if writer is not None:
                _reset(writer)


class TcpProxy:
    """From a free port to `127.0.0.1:target`. What is set holds for open connections too, and until `pass_through`.

        with TcpProxy(cluster.port) as proxy:
            proxy.black_hole()
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.target = target
        self.commits_cut = 0
        """How many answers to a commit were lost."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tcp-proxy", daemon=True)
        self._listening: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._flows = asyncio.Event()
        self._delay = 0.0
        self._piece = _CHUNK
        self._wanted: Wanted | None = None
        self._cuts_left = 0

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.close()

    def start(self) -> Self:
        self._thread.start()
        self.pass_through()
        return self

    def close(self) -> None:
        self.refuse()
        self._call(self._end_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        self._loop.close()

    def pass_through(self) -> None:
        """As if it were not there. What was swallowed so far arrives late, as after a network's failure."""
        self._call(self._set(flows=True))

    def black_hole(self) -> None:
        """Connections are taken and stay open, and nothing comes through, either way."""
        self._call(self._set(flows=False))

    def slow(self, seconds: float) -> None:
        """Each chunk comes so much later."""
        self._call(self._set(flows=True, delay=seconds))

    def trickle(self, seconds: float = 0.001) -> None:
        """A byte at a time, each so much later."""
        self._call(self._set(flows=True, delay=seconds, piece=1))

    def refuse(self) -> None:
        """Nobody listens, and what was open is reset."""
        self._call(self._refuse())

    def reset(self) -> None:
        """RST for every open connection; new ones are taken."""
        self._call(self._reset())

    def reset_after_commit(self, wanted: Wanted = lambda _: True, times: int = 1) -> None:
        """The next `times` commits of transactions whose statements are `wanted` are done, and then, instead of the
        answer, both ends get an RST."""
        self._wanted, self._cuts_left = wanted, times

    @property
    def connections(self) -> int:
        return len(self._links)

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)

    async def _set(self, *, flows: bool, delay: float = 0.0, piece: int = _CHUNK) -> None:
        self._delay, self._piece = delay, piece
        if self._listening is None:
            self._listening = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        if flows:
            self._flows.set()
        else:
            self._flows.clear()

    async def _refuse(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        await self._reset()

    async def _reset(self) -> None:
        for link in self._links:
            link.reset()

    async def _end_tasks(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(writer)
        self._links.add(link)
        try:
            await self._flows.wait()
            server_reader, link.server = await asyncio.open_connection("127.0.0.1", self.target)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._questions(link, reader))
                both.create_task(self._answers(link, server_reader))
        except* EOFError:
            pass  # one has closed: what it said before still arrives at the other
        except* OSError:
            link.reset()  # whoever is left learns of it
        finally:
            self._links.discard(link)
            link.client.close()
            if link.server is not None:
                link.server.close()

    async def _questions(self, link: _Link, reader: asyncio.StreamReader) -> None:
        assert link.server is not None
        while data := await reader.read(self._piece):
            await self._hold_up()
            commit = link.said.feed(data)
            if commit is not None and self._takes(commit[1]):
                await self._cut(link, data[: max(0, commit[0])])
                return
            link.server.write(data)
            await link.server.drain()
        raise EOFError

    async def _answers(self, link: _Link, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(self._piece):
            await self._hold_up()
            link.answered.set()
            if not link.mute:
                link.client.write(data)
                await link.client.drain()
        raise EOFError

    async def _hold_up(self) -> None:
        if self._delay:
            await asyncio.sleep(self._delay)
        await self._flows.wait()

    def _takes(self, statements: str) -> bool:
        if not self._cuts_left or self._wanted is None or not self._wanted(statements):
            return False
        self._cuts_left -= 1
        return True

    async def _cut(self, link: _Link, last: bytes) -> None:
        """The server's answer tells that it is done: an RST before that could overtake the commit itself."""
        assert link.server is not None
        link.mute = True
        link.answered.clear()
        link.server.write(last)
        await link.server.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await link.answered.wait()
        self.commits_cut += 1
        link.reset()
        raise EOFError


def _reset(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket | None = writer.get_extra_info("socket")
    if sock is not None and not writer.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
    writer.transport.abort()
