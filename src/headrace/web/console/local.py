"""Where a page may send the browser on to: a path of ours, never another host (open redirect, CWE-601)."""

from __future__ import annotations

import re

_LONGEST = 4_096  # a share link of Explore carries its whole state
_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*", re.ASCII)  # no backslash: browsers read it as a slash
_NOT_BACK = ("/sign-in", "/sign-out", "/v1/", "/static/")


def local_path(text: str | None, default: str = "/") -> str:
    """`text` if it is a path here that somebody can look at, else `default`."""
    if text is None or len(text) > _LONGEST or not _PATH.fullmatch(text) or text.startswith(_NOT_BACK):
        return default
    return text
