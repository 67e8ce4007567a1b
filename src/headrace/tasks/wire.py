"""The task as clients send it, and what is checked of it before it is durable."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from headrace.errors import ItemError
from headrace.kit.ids import uuid7
from headrace.kit.json_text import UNDECODABLE, has_bad_escape, is_utf8
from headrace.kit.times import LATEST, SECOND, from_datetime, from_epoch, parse_duration, parse_time
from headrace.model.task import (
    DEFAULT_ATTEMPTS,
    DEFAULT_PRIORITY,
    DEFAULT_QUEUE,
    MAX_ARGS_BYTES,
    NewTask,
    Retry,
)
from headrace.model.task_kind import TaskKind

Kinds = Mapping[str, TaskKind]

MAX_BODY_BYTES: Final = MAX_ARGS_BYTES + 16 * 1024
MAX_ATTEMPTS: Final = 1_000
MAX_SECONDS: Final = 7 * 86_400.0
MAX_KEY_BYTES: Final = 256
MAX_URL: Final = 2_048
_END_OF_TIME = from_datetime(LATEST)
_QUEUE = re.compile(r"[a-z0-9_][a-z0-9._-]{0,62}\Z", re.ASCII)
_TYPE = re.compile(r"[A-Za-z0-9._:/-]{1,128}\Z", re.ASCII)
_UNKNOWN_FIELD = re.compile(r"unknown field `(.*?)`(?: - at `\$\.(.*)`)?\Z", re.DOTALL)

Moment = str | int | float | None


class WireTask(msgspec.Struct, forbid_unknown_fields=True, gc=False, omit_defaults=True):
    """One task, decoded but not normalised. `args` keeps the client's own bytes: digits and order survive."""

    type: str
    args: msgspec.Raw = msgspec.Raw()
    queue: str = DEFAULT_QUEUE
    priority: int = DEFAULT_PRIORITY
    run_at: Moment = None
    delay: Moment = None
    max_attempts: int | None = None
    timeout: Moment = None
    retry: Retry | None = None
    idempotency_key: str | None = None
    concurrency_key: str | None = None
    callback_url: str | None = None


decode_one = msgspec.json.Decoder(WireTask).decode
_encode = msgspec.json.Encoder().encode


class Flawed(Exception):
    """Why a task cannot be taken."""

    def __init__(self, errors: list[ItemError], *, parsed: bool = True) -> None:
        super().__init__(errors[0].detail)
        self.errors = errors
        self.parsed = parsed
        """False: it is no JSON at all."""


def read(raw: bytes, owner: str, now: int, kinds: Kinds, key: str | None = None) -> NewTask:
    """A task from its JSON. `key`: the idempotency key where the task names none. Raises Flawed."""
    try:
        wire = decode_one(raw)
        if not raw.isascii():
            raw.decode()
    except UNDECODABLE as exc:
        raise _undecodable(exc, raw) from exc
    if has_bad_escape(raw):
        raise Flawed([_BAD_ESCAPE])
    if errors := [*_flaws(wire), *_arg_flaws(wire, kinds)]:
        raise Flawed(errors)
    wanted_key = wire.idempotency_key or key
    return NewTask(
        id=uuid7(now),
        type=wire.type,
        owner=owner,
        created_at=now,
        args=bytes(wire.args) or b"{}",
        queue=wire.queue,
        priority=wire.priority,
        run_at=_run_at(wire, now),
        max_attempts=wire.max_attempts or (kind.max_attempts if (kind := kinds.get(wire.type)) else DEFAULT_ATTEMPTS),
        timeout=None if wire.timeout is None else _seconds(wire.timeout),
        retry=wire.retry,
        idempotency_key=wanted_key,
        fingerprint=fingerprint(wire) if wanted_key is not None else b"",
        concurrency_key=wire.concurrency_key,
        callback_url=wire.callback_url,
    )


def fingerprint(wire: WireTask) -> bytes:
    """Of all that a request says, however it is spaced: two of the same key must say the same."""
    args = msgspec.json.format(bytes(wire.args), indent=-1) if bytes(wire.args) else b"{}"
    said = msgspec.structs.replace(wire, args=msgspec.Raw(args), idempotency_key=None)
    return hashlib.blake2b(_encode(said), digest_size=16).digest()


def args_flaws(kind: str, args: bytes, kinds: Kinds) -> Iterator[ItemError]:
    """What is wrong with the args of a task of this type."""
    if args[:1] != b"{":
        yield ItemError("invalid-args", "`args` must be a JSON object", field="args")
    elif len(args) > MAX_ARGS_BYTES:
        yield ItemError("args-too-large", f"`args` may have {MAX_ARGS_BYTES} bytes as JSON", field="args")
    elif not is_utf8(args):
        yield ItemError("invalid-utf8", "not valid UTF-8", field="args")
    elif (known := kinds.get(kind)) is not None:
        yield from known.check(args)


def _arg_flaws(wire: WireTask, kinds: Kinds) -> Iterator[ItemError]:
    args = bytes(wire.args)
    if args or wire.type in kinds:
        yield from args_flaws(wire.type, args or b"{}", kinds)


def _flaws(wire: WireTask) -> Iterator[ItemError]:
    if not _TYPE.match(wire.type):
        yield ItemError("invalid-type", "`type` has 1 to 128 of the characters A-Z a-z 0-9 . _ : / -", field="type")
    if not is_queue_name(wire.queue):
        yield ItemError("invalid-queue", QUEUE_RULE, field="queue")
    if not 0 <= wire.priority <= 9:
        yield ItemError("invalid-priority", "`priority` must be a whole number from 0 to 9", field="priority")
    if wire.max_attempts is not None and not 1 <= wire.max_attempts <= MAX_ATTEMPTS:
        yield ItemError("invalid-attempts", f"`max_attempts` must be from 1 to {MAX_ATTEMPTS}", field="max_attempts")
    if wire.run_at is not None or wire.delay is not None:
        yield from _time_flaws(wire)
    if wire.timeout is not None and (flaw := _span_flaw("timeout", wire.timeout, least=0.001)):
        yield flaw
    if wire.retry is not None:
        yield from _retry_flaws(wire.retry)
    for field in ("idempotency_key", "concurrency_key"):
        value: str | None = getattr(wire, field)
        if value is not None and not 0 < len(value.encode()) <= MAX_KEY_BYTES:
            yield ItemError("invalid-key", f"`{field}` must have 1 to {MAX_KEY_BYTES} bytes", field=field)
    if wire.callback_url is not None and not _is_url(wire.callback_url):
        yield ItemError("invalid-url", "`callback_url` must be an http or https URL", field="callback_url")


QUEUE_RULE: Final = "a queue's name has 1 to 63 of the characters a-z 0-9 . _ - and begins with a letter, a digit or _"


def is_queue_name(text: str) -> bool:
    """Whether a queue may be called so."""
    return _QUEUE.match(text) is not None


def _is_url(text: str) -> bool:
    plain = text.isprintable() and not any(c.isspace() for c in text)
    return plain and text.startswith(("http://", "https://")) and len(text) <= MAX_URL


def _time_flaws(wire: WireTask) -> Iterator[ItemError]:
    if wire.run_at is not None and wire.delay is not None:
        yield ItemError("invalid-time", "give `run_at` or `delay`, not both", field="run_at")
    elif wire.delay is not None:
        if flaw := _span_flaw("delay", wire.delay, least=0, most=10 * 366 * 86_400):
            yield flaw
    elif wire.run_at is not None and moment(wire.run_at) is None:
        detail = "`run_at` must be an RFC 3339 time with its offset, or an epoch number"
        yield ItemError("invalid-time", detail, field="run_at")


def _span_flaw(field: str, value: str | float, *, least: float, most: float = MAX_SECONDS) -> ItemError | None:
    try:
        seconds = _seconds(value)
    except (ValueError, OverflowError):
        return ItemError("invalid-duration", f"`{field}` must be seconds, or a duration such as 10s or 5m", field=field)
    if not least <= seconds <= most:
        return ItemError("invalid-duration", f"`{field}` must be from {least:g} to {most:g} seconds", field=field)
    return None


def _retry_flaws(retry: Retry) -> Iterator[ItemError]:
    if not (0 <= retry.first <= MAX_SECONDS and 1 <= retry.factor <= 100 and 0 <= retry.longest <= MAX_SECONDS):
        detail = f"`retry`: first and longest are 0 to {MAX_SECONDS:g} seconds, factor 1 to 100"
        yield ItemError("invalid-retry", detail, field="retry")


def _seconds(value: str | float) -> float:
    if isinstance(value, str):
        return parse_duration(value) / SECOND
    if not abs(value) < float("inf"):
        raise ValueError("not finite")
    return float(value)


def moment(value: str | float) -> int | None:
    """µs since 1970 of a time as sent, or None."""
    try:
        us = parse_time(value) if isinstance(value, str) else from_epoch(value)
    except (ValueError, OverflowError):
        return None
    return us if 0 <= us < _END_OF_TIME else None


def _run_at(wire: WireTask, now: int) -> int | None:
    if wire.delay is not None:
        return now + round(_seconds(wire.delay) * SECOND)
    return None if wire.run_at is None else moment(wire.run_at)


_BAD_ESCAPE = ItemError("invalid-text", r"`\u0000` and halves of surrogate pairs cannot be stored")


def _undecodable(exc: BaseException, raw: bytes) -> Flawed:
    """Say in the client's terms why it could not be decoded."""
    if isinstance(exc, RecursionError):
        return Flawed([ItemError("invalid-json", "nested too deeply")], parsed=False)
    if isinstance(exc, UnicodeDecodeError):
        return Flawed([ItemError("invalid-utf8", "not valid UTF-8")], parsed=False)
    text = str(exc)
    if match := _UNKNOWN_FIELD.search(text):
        name = (f"{match[2]}." if match[2] else "") + match[1][:100]
        return Flawed([ItemError("unknown-field", f"unknown field `{name}`; your own go into `args`", field=name)])
    if isinstance(exc, msgspec.ValidationError):
        return Flawed([ItemError("invalid-field", text.replace("`$.", "`")[:300])])
    if has_bad_escape(raw):
        return Flawed([_BAD_ESCAPE])
    return Flawed([ItemError("invalid-json", text[:300])], parsed=False)
