"""The language of `q`: words, "a phrase", -without, -"a phrase". Nothing else has a meaning."""

from __future__ import annotations

import re

from headrace.model.query import Word

# A quote opens a phrase only where a word begins. One that is never closed takes the rest: so it stays useful
# while it is being typed. Anything else, quotes inside a word included, means itself.
_TERM = re.compile(r'(?P<minus>-?)(?:"(?P<phrase>[^"]*)(?:"|\Z)|(?P<word>\S+))')


def parse_text(text: str) -> tuple[Word, ...]:
    """What must and must not occur, in the order written, each once; nothing for blank text.

    A minus sign alone is a word. A phrase keeps its spaces; a blank one says nothing.
    """
    words = []
    for term in _TERM.finditer(text):
        phrase, word = term["phrase"], term["word"]
        if phrase is None or phrase.strip():
            words.append(Word(phrase or word, negated=bool(term["minus"])))
    return tuple(dict.fromkeys(words))
