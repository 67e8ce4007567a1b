"""The event as clients send it, and what is checked of it. Nothing here is slower than it has to be: 0.9 µs of the
1.2 µs an event costs in `decode_lines` + `oddities` are msgspec's own (400-byte events, one core)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec

from headrace.errors import ItemError
from headrace.kit.ids import parse_id
from headrace.kit.json_text import has_bad_escape, is_utf8
from headrace.kit.times import EPOCH, LATEST, from_epoch, to_datetime
from headrace.model.event import LEVEL_NAMES, OUTCOMES

MAX_EVENT_BYTES = 256 * 1024
MAX_DEDUP_KEY_BYTES = 256

Moment = Annotated[datetime, msgspec.Meta(tz=True)] | int | float | None


class WireParty(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    id: str
    type: str | None = None
    name: str | None = None


class WireEvent(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One event, decoded but not normalised. `attributes` keeps the client's own bytes: digits and order survive."""

    id: str | None = None
    dedup_key: str | None = None
    time: Moment = None
    level: str | None = None
    service: str | None = None
    action: str | None = None
    actor: str | WireParty | None = None
    target: str | WireParty | None = None
    outcome: str | None = None
    message: str | None = None
    attributes: msgspec.Raw = msgspec.Raw()
    trace_id: str | None = None
    span_id: str | None = None


_decoder = msgspec.json.Decoder(WireEvent)
decode_one = _decoder.decode
decode_lines = _decoder.decode_lines
"""More lenient than NDJSON (two objects may share a line, one may span two): compare its count with the lines."""


LEVEL_INDEX = {
    spelling: index for name, index in LEVEL_NAMES.items() for spelling in (name, name.upper(), name.title())
}
"""The usual spellings, so that only odd ones pay for `lower()`."""
_OUTCOMES = frozenset(OUTCOMES)
_OBJECT_OR_ABSENT = frozenset((b"{", b""))
_UNKNOWN_FIELD = re.compile(r"unknown field `(.*)`")


class Span:
    """The event times that a bucket takes now: not past its retention, and within what stores can hold."""

    __slots__ = ("earliest", "retained")

    def __init__(self, retained_since: int | None) -> None:
        self.retained = retained_since is not None
        self.earliest = EPOCH if retained_since is None else max(EPOCH, to_datetime(retained_since))


def oddities(events: Sequence[WireEvent], span: Span) -> list[WireEvent]:
    """Those that need a closer look by `flaw`, or bring an id: few of usual traffic. One pass, 0.3 µs an event.

    `attributes` alone can still hold bytes that are no UTF-8 (the decoder has checked the strings that it made): asking
    only where they are not ASCII takes a tenth of what decoding the body would.
    """
    earliest, levels, outcomes = span.earliest, LEVEL_INDEX, _OUTCOMES
    return [
        event
        for event in events
        if (event.message is None and event.action is None)
        or (event.level is not None and event.level not in levels)
        or (event.outcome is not None and event.outcome not in outcomes)
        or event.id is not None
        or event.dedup_key is not None
        or (raw := bytes(event.attributes))[:1] not in _OBJECT_OR_ABSENT
        or not (raw.isascii() or is_utf8(raw))
        or ((time := event.time) is not None and (time.__class__ is not datetime or not earliest <= time < LATEST))
    ]


def brings_id(event: WireEvent) -> bool:
    """Whether the client chose the event's id, itself or through its `dedup_key`."""
    return event.id is not None or event.dedup_key is not None


def flaw(event: WireEvent, span: Span) -> ItemError | None:
    """Why this event cannot be taken, or None. Everything but what decoding has checked already."""
    if event.message is None and event.action is None:
        return ItemError("missing-field", "one of `message` and `action` must be there")
    if event.level is not None and event.level.lower() not in LEVEL_NAMES:
        return ItemError(
            "invalid-level", f"`level` {event.level[:40]!r} is none of trace, debug, info, warning, error, critical"
        )
    if event.outcome is not None and event.outcome not in OUTCOMES:
        return ItemError("invalid-outcome", f"`outcome` {event.outcome[:40]!r} is none of success, failure, unknown")
    if bytes(event.attributes)[:1] not in _OBJECT_OR_ABSENT and bytes(event.attributes) != b"null":
        return ItemError("invalid-attributes", "`attributes` must be a JSON object")
    if not is_utf8(bytes(event.attributes)):
        return ItemError("invalid-utf8", "not valid UTF-8")
    return _id_flaw(event) or _time_flaw(event.time, span)


def _id_flaw(event: WireEvent) -> ItemError | None:
    if event.id is not None and event.dedup_key is not None:
        return ItemError("invalid-id", "give `id` or `dedup_key`, not both")
    if event.id is not None:
        try:
            parse_id(event.id)
        except ValueError as exc:
            return ItemError("invalid-id", f"`id`: {exc}")
    if event.dedup_key is not None and not 0 < len(event.dedup_key.encode()) <= MAX_DEDUP_KEY_BYTES:
        return ItemError("invalid-dedup-key", f"`dedup_key` must have 1 to {MAX_DEDUP_KEY_BYTES} bytes")
    return None


def _time_flaw(moment: datetime | float | None, span: Span) -> ItemError | None:
    if moment is None:
        return None
    try:
        time = moment_to_datetime(moment)
    except (ValueError, OverflowError):
        return ItemError("invalid-time", "`time` lies outside 1970-01-01 to 2262-01-01")
    if not EPOCH <= time < LATEST:
        return ItemError("invalid-time", "`time` lies outside 1970-01-01 to 2262-01-01")
    if time < span.earliest:
        return ItemError("past-retention", "`time` is already past the bucket's retention")
    return None


def moment_to_datetime(moment: datetime | float) -> datetime:
    """The aware datetime of a `time` as sent. Raises ValueError or OverflowError when it has none."""
    return moment if isinstance(moment, datetime) else to_datetime(from_epoch(moment))


def undecodable(exc: BaseException, raw: bytes) -> ItemError:
    """Say in the client's terms why `raw` could not be decoded."""
    if isinstance(exc, RecursionError):
        return ItemError("invalid-json", "nested too deeply")
    if isinstance(exc, UnicodeDecodeError):
        return ItemError("invalid-utf8", "not valid UTF-8")
    text = str(exc)
    if match := _UNKNOWN_FIELD.search(text):
        where = " in `actor` or `target`" if "$." in text else ""
        return ItemError(
            "unknown-field", f"unknown field `{match[1][:100]}`{where}; put your own fields under `attributes`"
        )
    if isinstance(exc, msgspec.ValidationError):
        return ItemError("invalid-field", text.replace("`$.", "`")[:300])
    if has_bad_escape(raw):
        return BAD_ESCAPE
    return ItemError("invalid-json", text[:300])


BAD_ESCAPE = ItemError("invalid-text", r"`\u0000` and halves of surrogate pairs cannot be stored")
