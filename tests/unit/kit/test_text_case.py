"""Lower case keeps every position."""

from __future__ import annotations

import sys

import pytest

from headrace.kit.text_case import lower


def test_a_text_is_lowered_character_by_character() -> None:
    assert lower("PAID Ünit") == "paid ünit"
    assert lower("ΟΔΟΣ") == "οδοσ"  # where str.lower() knows the end of a word
    assert lower("İstanbul") == "istanbul"


@pytest.mark.no_cover  # a million characters: 7 s under coverage, 1 s without; the test above covers the lines
def test_each_character_becomes_one_character() -> None:
    for point in range(sys.maxunicode + 1):
        small = lower(chr(point))
        assert len(small) == 1
        assert lower(small) == small
        assert small == chr(point).lower() or len(chr(point).lower()) > 1


@pytest.mark.no_cover
def test_every_character_keeps_its_place() -> None:
    for point in range(sys.maxunicode + 1):
        char = chr(point)
        small = char.lower() if len(char.lower()) == 1 else "i" if char == "İ" else char
        assert lower(f"a{char}b{char}") == f"a{small}b{small}", hex(point)
