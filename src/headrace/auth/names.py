"""What is typed into the name's field of a sign-in, made comparable with what is stored (which `rules` checked)."""

from __future__ import annotations

from headrace.auth.rules import check_email
from headrace.errors import Invalid

_CHARACTERS = 320  # a local part of 64, an @ and a domain of 255: more is no name of anyone


def typed(name: str) -> str:
    """A username or an e-mail address as the control data would have it; anything else in lower case."""
    name = name.strip()
    if "@" in name:
        try:
            return check_email(name)
        except Invalid:
            pass
    return name.lower()


def may_exist(name: str) -> bool:
    """Whether it can be anyone's at all: neither endless nor with characters that a database chokes on."""
    return 0 < len(name) <= _CHARACTERS and name.isprintable()
