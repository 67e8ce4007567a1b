"""The little HTTP/1.1 that the chaos clients speak. Nothing is repeated or hidden: an answer or an OSError."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes

    def json(self) -> dict[str, Any]:
        answered: dict[str, Any] = json.loads(self.body)
        return answered


class Connection:
    """Opens itself, and again after an error."""

    def __init__(self, port: int, key: str) -> None:
        self.port = port
        self._key = key
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        """Raises OSError when no whole answer came."""
        lines = [f"{method} {target} HTTP/1.1", "Host: chaos", f"Authorization: Bearer {self._key}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        lines.append(f"Content-Length: {len(body)}\r\n\r\n")
        try:
            async with asyncio.timeout(_SECONDS):
                reader, writer = self._streams = self._streams or await asyncio.open_connection("127.0.0.1", self.port)
                writer.write("\r\n".join(lines).encode() + body)
                return await _read(reader)
        except (OSError, EOFError, ValueError, TimeoutError) as exc:
            self.close()
            raise OSError(f"{type(exc).__name__}: {exc}") from exc

    def close(self) -> None:
        if self._streams:
            self._streams[1].close()
            self._streams = None


async def _read(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status = int(head[9:12])
    if "transfer-encoding: chunked" in head:
        return Answer(status, await _read_chunks(reader))
    length = int(head.partition("content-length:")[2].partition("\r\n")[0] or 0)
    return Answer(status, await reader.readexactly(length))


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    chunks = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        chunks.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return b"".join(chunks)
