"""`with` for what has a `close`."""

from __future__ import annotations

from typing import Self


class Closing:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        raise NotImplementedError
