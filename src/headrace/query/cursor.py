"""The cursor of a page: where in the order (time, id) it ended, and in which direction. Opaque to clients."""

from __future__ import annotations

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b

from headrace.errors import ItemError, Malformed
from headrace.kit.times import LATEST, from_datetime
from headrace.model.query import Order, Position

_VERSION = 1
_END_OF_TIME = from_datetime(LATEST)
_LAYOUT = struct.Struct(">BBq16s")  # version, descending, time, id
_CHECK_BYTES = 4  # 30 bytes in all: 40 characters without padding
_LENGTH = (_LAYOUT.size + _CHECK_BYTES) * 4 // 3


def encode_cursor(order: Order, position: Position) -> str:
    """40 characters that need no escaping in a URL."""
    body = _LAYOUT.pack(_VERSION, order == "desc", position.time, position.id.to_bytes(16))
    return urlsafe_b64encode(body + _check(body)).decode()


def decode_cursor(text: str) -> tuple[Order, Position]:
    """What `encode_cursor` was given. Raises Malformed for anything else: a cut or changed cursor shows.

    It grants nothing (a position in a bucket that the caller may read), so it is checked and not signed.
    """
    try:
        raw = urlsafe_b64decode(text) if len(text) == _LENGTH and text.isascii() else b""
        body, check = raw[: _LAYOUT.size], raw[_LAYOUT.size :]
        version, descending, time, identity = _LAYOUT.unpack(body)
    except (ValueError, struct.error):
        raise _bad() from None
    if check != _check(body) or version != _VERSION or descending > 1 or not 0 <= time < _END_OF_TIME:
        raise _bad()
    return "desc" if descending else "asc", Position(time, int.from_bytes(identity))


def _check(body: bytes) -> bytes:
    return blake2b(body, digest_size=_CHECK_BYTES, person=b"headrace-cursor").digest()


def _bad() -> Malformed:
    detail = "This is no cursor of ours: send `next_cursor` of the page before as it was."
    return Malformed(detail, items=[ItemError("bad-cursor", detail, field="cursor")])
