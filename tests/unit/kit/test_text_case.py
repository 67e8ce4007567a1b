"""Lower case with one character for each."""

from __future__ import annotations

import sys

from headrace.kit.text_case import lower


def test_every_character_keeps_its_place() -> None:
    for point in range(sys.maxunicode + 1):
        char = chr(point)
        small = char.lower() if len(char.lower()) == 1 else "i" if char == "İ" else char
        assert lower(f"a{char}b{char}") == f"a{small}b{small}", hex(point)
