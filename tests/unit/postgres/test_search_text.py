"""A word is found in a part of the text and never across two, whatever characters are in them."""

from __future__ import annotations

from itertools import product

import pytest

from headrace.adapters.postgres.search_text import folded, joined

TEXTS = ["", "a", "A", "\x1f", "a\x1f", "\x1fA", "A\x1fb", "b", "ab", "É\x1f"]


@pytest.mark.parametrize("parts", list(product(TEXTS, repeat=2)))
def test_the_column_holds_a_word_exactly_where_a_part_does(parts: tuple[str, ...]) -> None:
    for word in TEXTS:
        assert (folded(word) in joined(parts)) == any(word.lower() in part.lower() for part in parts)


def test_nothing_holds_nothing() -> None:
    assert joined([]) == ""
