"""The key file on disk."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from headrace.errors import Unusable


class SystemKeyFile:
    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def place(self) -> str:
        return str(self._path)

    def read(self) -> str | None:
        try:
            return self._path.read_text("ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as exc:
            raise Unusable(f"The key file {self._path} cannot be read: {exc}.") from exc

    def create(self, text: str) -> str:
        try:
            part = _written_part(self._path, text + "\n")
            try:
                os.link(part, self._path)  # unlike a rename, it fails when another process was faster
            except FileExistsError:
                text = self.read() or ""
            finally:
                part.unlink()
            _sync(self._path.parent)
        except OSError as exc:
            raise Unusable(f"The key file {self._path} cannot be written: {exc.strerror}.") from exc
        return text


def _written_part(path: Path, text: str) -> Path:
    """A durable file beside `path` with a name of its own, for its owner alone (mkstemp makes it 0600)."""
    handle, part = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".part", dir=path.parent)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return Path(part)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
