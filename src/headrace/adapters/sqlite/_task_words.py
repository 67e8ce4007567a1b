"""The words of tasks: an index of trigrams that finds candidates for `q`, which are then looked at themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from headrace.kit.text_case import lower
from headrace.model.task import SEARCHED_CHARS

_ADD = "INSERT INTO words (rowid, text) VALUES (?, ?)"
_REMOVE = "DELETE FROM words WHERE rowid = ?"

Execute = Callable[..., Any]


def asked_text(type: str, args: bytes) -> str:
    """What is searched of a task from its beginning."""
    return f"{type}\n{_text(args)}"


def outcome_text(result: bytes | None, error: str | None) -> str:
    """What is searched of its outcome."""
    return f"{_text(result or b'')}\n{(error or '')[:SEARCHED_CHARS]}".strip("\n")


def holds(words: Sequence[str], texts: Iterable[str]) -> bool:
    """Whether each of these words, which are in lower case, occurs in one of the texts."""
    small = [lower(text) for text in texts]
    return all(any(word in text for text in small) for word in words)


def match(word: str) -> str | None:
    """The query for all texts in which this word may occur; None when an index of trigrams cannot tell."""
    grams = {word[at : at + 3] for at in range(len(word) - 2)}
    quoted = ['"' + gram.replace('"', '""') + '"' for gram in sorted(grams) if "\0" not in gram]
    return " AND ".join(quoted) or None


def add_words(executemany: Execute, texts: Sequence[tuple[int, str]]) -> None:
    """By rowid; a text of less than three characters has no trigram."""
    executemany(_ADD, [one for one in texts if len(one[1]) >= 3])


def remove_words(execute: Execute, rowids: Iterable[int]) -> None:
    for rowid in rowids:
        execute(_REMOVE, (rowid,))


def _text(json: bytes) -> str:
    return json[: 4 * SEARCHED_CHARS].decode(errors="replace")[:SEARCHED_CHARS]
