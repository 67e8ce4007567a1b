"""What is sent at once, and how to find again where in the source each item of it came from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Origin(Protocol):
    """Where the items of a batch came from."""

    def of(self, index: int) -> tuple[int, bytes]:
        """The line (from 1) and the bytes of the item at `index`, which counts as the server counts."""
        ...

    def count(self) -> int:
        """How many items there are."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """`body` is NDJSON. `key` (an Idempotency-Key) is the same whenever the same part of the same source is sent."""

    source: str
    key: str
    body: bytes
    origin: Origin


@dataclass(frozen=True, slots=True)
class Refused:
    """An item that this program itself cannot send."""

    source: str
    line: int
    code: str
    detail: str
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class OfLines:
    """Items are the lines of `data` that are not blank; the first line of it is `first_line`."""

    first_line: int
    data: bytes

    def of(self, index: int) -> tuple[int, bytes]:
        lines = self.data.split(b"\n")
        filled = [number for number, line in enumerate(lines) if line.strip()]
        number = filled[min(index, len(filled) - 1)]
        return self.first_line + number, lines[number]

    def count(self) -> int:
        return sum(1 for line in self.data.split(b"\n") if line.strip())


@dataclass(frozen=True, slots=True)
class OfValues:
    """Items are JSON values: the line on which each began, and each as one line of `body`."""

    lines: Sequence[int]
    body: bytes

    def of(self, index: int) -> tuple[int, bytes]:
        return self.lines[index], self.body.split(b"\n")[index]

    def count(self) -> int:
        return len(self.lines)


class Keys:
    """Makes the Idempotency-Keys of one source.

    A key is a hash of the run (`scope`), of the number of the batch in the source and of all its bytes: a batch that
    was changed is never taken for the one that was stored. The last batch of a file, which may be short, also
    counts the time of the file's last change, because a file of a few lines that is written anew with the same
    content is a new fact.
    """

    def __init__(self, scope: str, version: str = "") -> None:
        self._scope = scope.encode()
        self._version = version.encode()
        self._number = 0

    def next(self, data: bytes, *, is_whole: bool) -> str:
        """The key of the next batch, which was made of `data`."""
        digest = hashlib.blake2b(data, digest_size=16, key=hashlib.sha256(self._scope).digest())
        digest.update(b"\0%d\0%s" % (self._number, b"" if is_whole else self._version))
        self._number += 1
        return f"send-{digest.hexdigest()}"
