"""A stored event as a sentence for people: who did what to what, and from where. Pure; HTML is made elsewhere.

Any event gives a sentence. What strangers wrote comes out bounded, on one line, and without characters that would
rearrange the text around it; whoever shows it still has to escape it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from headrace.model.event import Party, StoredEvent
from headrace.query.attribute_texts import address_in, texts_of
from headrace.query.phrases import KNOWN, NAMED_BY, Phrase
from headrace.query.plain import plain
from headrace.query.verbs import Deed, deed_of

Role = Literal["text", "actor", "target", "action"]
NOBODY = "Somebody"
_STRANGERS = frozenset(("anonymous", "unknown"))
_DONE = (None, "success")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_FIELD = re.compile(r"\{([a-z_]+)\}")
_OF_A_USER = frozenset(("grant.changed", "grant.deleted"))
_NO_NAMES: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a sentence. An actor and a target have an `id` to filter by; `aside` is shown in brackets behind."""

    text: str
    role: Role = "text"
    id: str = ""
    aside: str = ""

    def __str__(self) -> str:
        return f"{self.text} ({self.aside})" if self.aside else self.text


@dataclass(frozen=True, slots=True)
class Sentence:
    """`address` is where it came from and `note` what the event says beside it; either may be empty."""

    parts: tuple[Part, ...]
    address: str = ""
    note: str = ""

    def __str__(self) -> str:
        said = "".join(map(str, self.parts))
        return f"{said} · from {self.address}" if self.address else said


def sentence_of(event: StoredEvent, names: Mapping[str, str] = _NO_NAMES, *, ours: bool = False) -> Sentence:
    """`names` are of ids that have one outside of the event; `ours` is one of `_audit`, whose actions we know."""
    message, facts = plain(event.message or ""), texts_of(event.attributes)
    address = address_in(facts)
    if not event.action:
        return Sentence(_said(event, message, names), address)
    known = KNOWN.get(event.action) if ours else None
    parts = known and _known(known, event, facts, names)
    if parts:
        return Sentence(parts, address)  # the message says the same
    return Sentence(_generic(event, names), address, message)


def _said(event: StoredEvent, message: str, names: Mapping[str, str]) -> tuple[Part, ...]:
    """Of an event that is only a message."""
    said = Part(message or "Something happened")
    who = _party(event.actor, "actor", names) if event.actor else _service(event)
    return (who, Part(": "), said) if who else (said,)


# --- Our own actions ----------------------------------------------------------------------------------------------


def _known(
    phrase: Phrase, event: StoredEvent, facts: Mapping[str, str], names: Mapping[str, str]
) -> tuple[Part, ...] | None:
    """None when the event has not what the phrase speaks of."""
    template = phrase.for_outcome(event.outcome, itself=_on_itself(event))
    if template is None:
        return None
    parts = [_actor(event, names), Part(" ")]
    for optional, text in _segments(template):
        found = _filled(text, event, facts, names)
        if found is None and not optional:
            return None
        parts += found or ()
    return tuple(parts)


def _on_itself(event: StoredEvent) -> bool:
    """Whether it was done to one's own account."""
    return event.actor is not None and event.target is not None and event.actor.id == event.target.id


def _segments(template: str) -> list[tuple[bool, str]]:
    """(may be left out, text): what is in square brackets may be."""
    pieces = re.split(r"\[(.*?)\]", template)
    return [(index % 2 == 1, piece) for index, piece in enumerate(pieces) if piece]


def _filled(
    text: str, event: StoredEvent, facts: Mapping[str, str], names: Mapping[str, str]
) -> list[Part] | None:
    parts = []
    for index, piece in enumerate(_FIELD.split(text)):
        if index % 2 == 0:
            parts.append(Part(piece))
        elif piece == "target":
            if event.target is None:
                return None
            called = facts.get(NAMED_BY.get(event.action or "", ""))
            parts.append(_party(event.target, "target", names, called))
        elif piece not in facts:
            return None
        else:
            parts.append(Part(_fact(piece, facts[piece], names)))
    return [part for part in parts if part.text]


def _fact(name: str, value: str, names: Mapping[str, str]) -> str:
    if name == "reason":  # codes, as in wrong-password
        return value.replace("-", " ")
    return plain(names.get(value, value))


# --- Everyone else's ----------------------------------------------------------------------------------------------


def _generic(event: StoredEvent, names: Mapping[str, str]) -> tuple[Part, ...]:
    """From `noun.verb`: "Ada paid invoice inv-99311", or what can be said without knowing the verb."""
    deed = deed_of(event.action or "")
    if not deed.base and event.outcome not in _DONE:
        deed = Deed()  # "tried to" needs a form that such a verb has not
    return (_actor(event, names), Part(" "), *_did(deed, event), *_object(deed, event, names), *_ending(event.outcome))


def _did(deed: Deed, event: StoredEvent) -> tuple[Part, ...]:
    done = event.outcome in _DONE
    if done and deed.past:
        return (Part(deed.past, "action"),)
    if deed.base:
        return (Part("tried to "), Part(deed.base, "action"))
    return (Part("did " if done else "tried "), Part(plain(event.action or ""), "action"))


def _object(deed: Deed, event: StoredEvent, names: Mapping[str, str]) -> tuple[Part, ...]:
    named = bool(deed.past) and not deed.intransitive
    noun, target = deed.noun if named else "", event.target
    if target is None:
        return (Part(f" {_article(noun)}{noun}"),) if noun else ()
    kind = plain(target.type or "").replace("_", " ")
    if not named:
        on = "" if deed.intransitive and _on_itself(event) else f" on {kind} " if kind else " on "
        return (Part(on), _party(target, "target", names)) if on else ()
    if noun and kind and kind.lower() != noun:
        return (Part(f" {_article(noun)}{noun} on {kind} "), _party(target, "target", names))
    return (Part(f" {kind or noun} ".replace("  ", " ")), _party(target, "target", names))


def _article(noun: str) -> str:
    if noun.endswith("s"):
        return ""
    return "an " if noun[:1] in "aeio" else "a "


def _ending(outcome: str | None) -> tuple[Part, ...]:
    if outcome == "failure":
        return (Part(", and failed"),)
    return (Part("; whether it worked is not known"),) if outcome == "unknown" else ()


# --- Who and what -------------------------------------------------------------------------------------------------


def _actor(event: StoredEvent, names: Mapping[str, str]) -> Part:
    if event.actor is None:
        return _service(event) or Part(NOBODY)
    if event.actor.type == "anonymous":
        return Part(NOBODY, "actor", event.actor.id)
    return _party(event.actor, "actor", names)


def _service(event: StoredEvent) -> Part | None:
    text = plain(event.service or "")
    return Part(text) if text else None


def _party(party: Party, role: Role, names: Mapping[str, str], called: str | None = None) -> Part:
    """With a name, the id goes into brackets, unless it is one that only programs read."""
    shown, name = plain(party.id), plain(party.name or called or names.get(party.id) or "")
    if not name:
        if party.id in _STRANGERS:
            return Part("somebody unknown", role, party.id)
        return Part(shown or "somebody without a name", role, party.id)
    return Part(name, role, party.id, "" if _UUID.fullmatch(party.id) or shown == name else shown)


def mentioned(event: StoredEvent) -> list[tuple[str, str]]:
    """(type, id) of who and what the sentence may speak of without a name for it."""
    parties = [party for party in (event.actor, event.target) if party is not None and not party.name]
    pairs = [(party.type or "", party.id) for party in parties]
    if event.action in _OF_A_USER and (user := texts_of(event.attributes).get("user")):
        pairs.append(("user", user))
    return pairs
