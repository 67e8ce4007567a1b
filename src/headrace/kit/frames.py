"""Messages of known length on a stream: four bytes that say how long, then so many bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

MAX_FRAME: Final = 64 * 1024 * 1024  # far above what either side sends at once: a larger length is garbage
_HEAD: Final = 4


def framed(payload: bytes) -> bytes:
    return len(payload).to_bytes(_HEAD, "big") + payload


class Frames:
    """Cuts a stream into its messages."""

    def __init__(self) -> None:
        self._left = bytearray()

    def feed(self, received: bytes) -> Iterator[bytes]:
        """The messages that are whole now. Raises ValueError when the stream holds something else."""
        if not self._left and int.from_bytes(received[:_HEAD], "big") == len(received) - _HEAD:
            yield received[_HEAD:]  # the usual case, without a copy into what is left
            return
        self._left += received
        start, size = 0, len(self._left)
        while size - start >= _HEAD:
            length = int.from_bytes(self._left[start : start + _HEAD], "big")
            if length > MAX_FRAME:
                raise ValueError(f"a message of {length} bytes is too long to be one")
            if size - start - _HEAD < length:
                break
            yield bytes(self._left[start + _HEAD : start + _HEAD + length])
            start += _HEAD + length
        del self._left[:start]
