"""Text from events as people may see it: what would be invisible, or would turn the page around, becomes a mark.

Control characters (ANSI sequences with them), directions of writing (CVE-2021-42574) and what has no width.
"""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_NAMES = {
    0x061C: "ALM", 0x200B: "ZWSP", 0x200E: "LRM", 0x200F: "RLM", 0x2028: "LS", 0x2029: "PS", 0x202A: "LRE",
    0x202B: "RLE", 0x202C: "PDF", 0x202D: "LRO", 0x202E: "RLO", 0x2060: "WJ", 0x2066: "LRI", 0x2067: "RLI",
    0x2068: "FSI", 0x2069: "PDI", 0xFEFF: "BOM",
}  # fmt: skip
_INVISIBLE = "\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
_TAGS = "\U000e0000-\U000e007f"
_MARKED = re.compile(f"[\x00-\x1f\x7f-\x9f{_INVISIBLE}{_TAGS}]")
_MARKED_IN_TEXT = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_INVISIBLE}{_TAGS}]")  # lines and tabs are kept


def visible(text: str, most: int | None = None, *, lines: bool = False) -> Markup:
    """`text` as HTML, at most so many characters of it; `lines`: line breaks and tabs stay what they are."""
    cut = most is not None and len(text) > most
    shown, pattern = text[:most], _MARKED_IN_TEXT if lines else _MARKED
    parts, end = list[Markup](), 0
    for found in pattern.finditer(shown):
        parts += [escape(shown[end : found.start()]), _mark(found[0])]
        end = found.end()
    parts += [escape(shown[end:]), escape("…" if cut else "")]
    return Markup("").join(parts)


def _mark(char: str) -> Markup:
    return Markup('<span class="mark" title="U+{:04X}">{}</span>').format(ord(char), symbol(char))


def symbol(char: str) -> str:
    """The picture of a control character (␛), the short name of a direction (RLO), or the number."""
    point = ord(char)
    if point < 0x20:
        return chr(0x2400 + point)
    return "␡" if point == 0x7F else _NAMES.get(point, f"U+{point:04X}")


def plain(text: str, most: int) -> str:
    """The same without HTML: for attributes and titles."""
    return _MARKED.sub(lambda found: symbol(found[0]), text[:most]) + ("…" if len(text) > most else "")
