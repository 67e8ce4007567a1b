"""What an action's name says: `invoice.paid`, `user:delete`, `create_report`, `DeleteBucket` have a verb and a noun."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from headrace.query.plain import plain


@dataclass(frozen=True, slots=True)
class Deed:
    """`past` and `base` of the verb, where they are known, and the noun before it. The verb needs no object when
    `intransitive`."""

    past: str = ""
    base: str = ""
    noun: str = ""
    intransitive: bool = False


_REGULAR = (
    "accept access activate add approve archive assign attach authorize block book cancel change charge check close "
    "comment complete configure confirm connect copy create deactivate decline delete deploy deposit detach disable "
    "disconnect download downgrade edit enable escalate execute expire export fail finish fix flag follow import "
    "install invite issue join link list lock mark merge modify move open order pause post print process publish purge "
    "receive record refund register reject release remove rename renew reopen replace replay report request restart "
    "restore resume retry return review revoke rotate save schedule search share sign start subscribe suspend sync tag "
    "terminate transfer trigger unassign unblock uninstall unlink unlock unpublish unsubscribe update upgrade upload "
    "validate verify view void"
)
_IRREGULAR = {
    "ban": "banned", "begin": "began", "bill": "billed", "buy": "bought", "drop": "dropped", "find": "found",
    "get": "got", "give": "gave", "grant": "granted", "hold": "held", "leave": "left", "make": "made", "map": "mapped",
    "pay": "paid", "permit": "permitted", "plan": "planned", "put": "put", "read": "read", "reset": "reset",
    "run": "ran", "see": "saw", "sell": "sold", "send": "sent", "set": "set", "ship": "shipped", "stop": "stopped",
    "submit": "submitted", "swap": "swapped", "take": "took", "unset": "unset", "withdraw": "withdrew",
    "write": "wrote",
}  # fmt: skip
_DOUBLED = frozenset(("cancel", "tag", "flag", "transfer"))
_PARTICIPLES = {
    "begun": "begin", "canceled": "cancel", "given": "give", "gotten": "get", "seen": "see", "taken": "take",
    "withdrawn": "withdraw", "written": "write", "synced": "sync",
}  # fmt: skip
_INTRANSITIVE = {
    "login": ("sign in", "signed in"), "logon": ("sign in", "signed in"), "signin": ("sign in", "signed in"),
    "logout": ("sign out", "signed out"), "signout": ("sign out", "signed out"), "logoff": ("sign out", "signed out"),
    "signup": ("sign up", "signed up"),
}  # fmt: skip
_BEHIND = frozenset(("as", "at", "by", "for", "from", "in", "of", "on", "to", "with"))
"""Words after which comes no object: `declined_by_bank` is better left as it is."""
_JOINED = re.compile(r"(?<=\b)(log|sign)(?:ged|ed)?[ _-](in|on|out|off|up)\b")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_MOST = 120


def _past(verb: str) -> str:
    if verb in _DOUBLED:
        return f"{verb}{verb[-1]}ed"
    if verb.endswith("e"):
        return f"{verb}d"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return f"{verb[:-1]}ied"
    return f"{verb}ed"


def _forms() -> dict[str, tuple[str, str]]:
    """Any form of a verb → (base, past)."""
    pairs = {verb: _past(verb) for verb in _REGULAR.split()} | _IRREGULAR
    forms = {form: (base, past) for base, past in pairs.items() for form in (base, past)}
    return forms | {form: (base, pairs[base]) for form, base in _PARTICIPLES.items()}


_FORMS = _forms()


@lru_cache(maxsize=2_048)  # a page has few actions, and all pages together not many more
def deed_of(action: str) -> Deed:
    """What can be known of any text; a verb that is not is left empty."""
    if len(action) > _MOST:
        return Deed()
    text = _CAMEL.sub(" ", plain(action)).lower()
    *nouns, last = [part for part in re.split(r"[.:/#]+", _JOINED.sub(r"\1\2", text)) if part.strip()] or [""]
    words = re.split(r"[\s_-]+", last.strip())
    noun = re.split(r"[\s_-]+", nouns[-1].strip()) if nouns else []
    if words[-1] in _INTRANSITIVE:
        base, past = _INTRANSITIVE[words[-1]]
        return Deed(past, base, intransitive=True)
    if words[0] in _FORMS and not _BEHIND.intersection(words):
        return _deed(_FORMS[words[0]], words[1:] or noun)
    if words[-1] in _FORMS:
        return _deed(_FORMS[words[-1]], words[:-1] or noun)
    if len(words) == 1 and re.fullmatch(r"[a-z]{3,}ed", last):
        return Deed(last, noun=" ".join(noun))
    return Deed()


def _deed(forms: tuple[str, str], noun: list[str]) -> Deed:
    base, past = forms
    return Deed(past, base, " ".join(noun))
