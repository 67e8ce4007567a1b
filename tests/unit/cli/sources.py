"""Sources of bytes for the tests: files, and pipes that are fed in pieces."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from io import FileIO
from pathlib import Path

from headrace.cli.sending.source import Source, open_source


def file_source(directory: Path, data: bytes, name: str = "events") -> Source:
    path = directory / name
    path.write_bytes(data)
    return open_source(path)


def pipe_source(pieces: Iterable[bytes], *, gate: threading.Event | None = None) -> Source:
    """A pipe into which a thread writes the pieces; before the last one it waits for `gate`."""
    reading, writing = os.pipe()
    parts = list(pieces)

    def feed() -> None:
        with FileIO(writing, "w") as out:
            for number, piece in enumerate(parts):
                if gate and number == len(parts) - 1:
                    gate.wait(10)
                out.write(piece)

    threading.Thread(target=feed, daemon=True).start()
    return Source("pipe", FileIO(reading))
