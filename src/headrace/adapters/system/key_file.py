"""The key file on disk."""

from __future__ import annotations

import os
from pathlib import Path

from headrace.errors import Unusable

_MODE = 0o600


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
        part = self._path.with_name(f"{self._path.name}.{os.getpid()}.part")
        try:
            _write_durably(part, text + "\n")
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


def _write_durably(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)  # left from a crash of a process that had our number
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
