"""Dead letters, seen from the frames in them: back into a block for a replay, and as text for people."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from headrace.errors import Poison
from headrace.ingest.frame import decode_block, decode_frame, encode_block

_BLOCK = b"HR"  # a whole block that could not be unpacked begins so; a frame is a MessagePack array and never does


def pack(payload: bytes) -> tuple[bytes, int]:
    """The block in which a letter goes back into the queue, and how many events it holds (1 when nobody can tell)."""
    if not payload.startswith(_BLOCK):
        return encode_block([payload]), _count(payload)
    try:
        return payload, sum(frame.count for frame in decode_block(payload))
    except Poison:
        return payload, 1


def show(payload: bytes) -> str:
    """The events as they were sent, one JSON object a line; bytes that are no text as `\\xNN`."""
    with suppress(msgspec.MsgspecError):
        payload = decode_frame(payload).lines
    return payload.decode("utf-8", "backslashreplace")


def _count(payload: bytes) -> int:
    try:
        return decode_frame(payload).count
    except msgspec.MsgspecError:
        return 1
