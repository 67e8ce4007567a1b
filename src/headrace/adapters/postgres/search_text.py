"""What `q` looks through, as the column `search` has it: parts in lower case, each ended by U+001F.

A word is then a plain substring, which the trigram index finds.
"""

from __future__ import annotations

from collections.abc import Sequence

from headrace.kit.text_case import lower

END = "\x1f"
"""Ends each part, so that no word is found across two of them."""

_INNER_END = "A"
"""A U+001F inside of a part: in lower case, no other character is this one."""


def folded(text: str) -> str:
    """A part, or a word to be found in one."""
    text = lower(text)
    return text.replace(END, _INNER_END) if END in text else text


def joined(parts: Sequence[str]) -> str:
    """The column's value."""
    if not parts:
        return ""
    text = END.join(parts) + END
    if text.count(END) > len(parts):
        return END.join(map(folded, parts)) + END
    return lower(text)
