"""Lower case that keeps every position: one character for each, so that a search finds the same text everywhere."""

from __future__ import annotations

import sys
from functools import cache


def lower(text: str) -> str:
    """Lower case as DuckDB's lower() has it: one character for each."""
    if text.isascii() or not ("İ" in text or "Σ" in text):
        return text.lower()  # a thirtieth of the time; it makes two of İ, and looks around at Σ
    return text.translate(_table())


@cache
def _table() -> dict[int, str]:
    """What changes, but for ASCII's own: 1,400 characters."""
    table = {point: char for point in range(sys.maxunicode + 1) if (char := _small(chr(point))) != chr(point)}
    table[ord("İ")] = "i"
    return table


def _small(char: str) -> str:
    small = char.lower()
    return small if len(small) == 1 else char
