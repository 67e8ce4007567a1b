"""Text of strangers as a short piece of one line, in which nothing is hidden or turned around."""

from __future__ import annotations

import re

MOST = 240
_BLANK = re.compile(r"[\s\u2028\u2029]+")
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
    "|[\U000e0000-\U000e007f]"
)
"""Controls (ANSI escapes begin with one), marks that change the direction of text (Trojan Source, CVE-2021-42574), what
has no width, and half characters. Joiners stay: Persian and emoji need them."""


def plain(text: str, most: int = MOST) -> str:
    """At most `most` characters and an ellipsis; line ends and runs of blanks become one blank, what would be hidden
    becomes a mark that shows."""
    cut = text[: 4 * most]  # enough even when most of it are blanks; the rest of a megabyte is not looked at
    shown = _HIDDEN.sub("\ufffd", _BLANK.sub(" ", cut).strip())
    return shown if len(shown) <= most and len(text) <= len(cut) else f"{shown[:most].rstrip()}…"
