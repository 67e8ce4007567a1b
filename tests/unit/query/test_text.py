"""The language of q."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.model.query import Word
from headrace.query.text import parse_text

WORDS = st.text(st.characters(exclude_characters='"', exclude_categories=["Cs", "Zs", "Zl", "Zp", "Cc"]), min_size=1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("  \t ", []),
        ("card declined", ["card", "declined"]),
        ('"card declined"', ["card declined"]),
        ('"  two  spaces "', ["  two  spaces "]),
        ('pay "card declined" now', ["pay", "card declined", "now"]),
        ("100% a_b c*d e.f", ["100%", "a_b", "c*d", "e.f"]),
        ('"never closed', ["never closed"]),
        ('5"disk', ['5"disk']),
        ('"" x', ["x"]),
        ("a - b", ["a", "-", "b"]),
        ("twice twice", ["twice"]),
        ("non-stop", ["non-stop"]),
        ("a\u00a0b", ["a", "b"]),
    ],
)
def test_words_and_phrases_must_occur(text: str, words: list[str]) -> None:
    assert parse_text(text) == tuple(Word(word) for word in words)


@pytest.mark.parametrize(
    ("text", "word"),
    [("-timeout", "timeout"), ('-"timed out"', "timed out"), ("--force", "-force"), ('-"never closed', "never closed")],
)
def test_a_minus_sign_negates_the_word_or_phrase_behind_it(text: str, word: str) -> None:
    assert parse_text(text) == (Word(word, negated=True),)


@given(st.text())
def test_any_text_is_understood(text: str) -> None:
    for word in parse_text(text):
        assert word.text.strip()
        assert word.text in text


@given(st.lists(st.tuples(st.lists(WORDS, min_size=1, max_size=3), st.booleans()), max_size=5))
def test_phrases_and_words_come_back_as_they_were_written(terms: list[tuple[list[str], bool]]) -> None:
    expected = [Word(" ".join(words), negated) for words, negated in terms]
    written = " ".join(f'{"-" * word.negated}"{word.text}"' for word in expected)
    assert parse_text(written) == tuple(dict.fromkeys(expected))
