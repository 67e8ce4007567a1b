"""Frames and blocks: the bytes that go through a queue.

A frame is some accepted events of one request and bucket: their JSON lines as the client sent them, and what intake
added once and for all (ids, time of receipt). A block is the frames of one group commit. Neighbouring versions of the
program read each other's blocks: fields are only ever added at the end, and `FORMAT` changes when that is not enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import zstandard

from headrace.errors import Poison
from headrace.kit.ids import joined

FORMAT = 1
_MAGIC = b"HR" + bytes([FORMAT])
_URGENT = 1
_HEADER = len(_MAGIC) + 1
_MAX_BLOCK = 64 * 1024 * 1024

# 0.5 µs and 104 bytes for an event of 400 bytes; level 1 takes 0.8 µs for 62 bytes, and blocks live for a second.
_compress = zstandard.ZstdCompressor(level=-5).compress


class Frame(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """`lines` holds `count` JSON objects, one a line, of the bucket `bucket_id`.

    Their ids are (id_hi, id_lo), (id_hi, id_lo + 1), … or, when `ids` is not empty, its 16-byte pieces.
    `chosen` says of whom the ids come from: all of them from the client (True), all from us (False), or those whose
    byte in `mask` is 1. Only ids that a client chose can come again.
    """

    bucket_id: int
    received_at: int
    count: int
    lines: bytes
    id_hi: int
    id_lo: int
    chosen: bool = False
    ids: bytes = b""
    mask: bytes = b""

    def id_of(self, index: int) -> int:
        if self.ids:
            return int.from_bytes(self.ids[index * 16 : index * 16 + 16])
        return joined(self.id_hi, self.id_lo + index)


encode_frame = msgspec.msgpack.Encoder().encode
_decode_frames = msgspec.msgpack.Decoder(list[Frame]).decode
_decode_raw_frames = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
decode_frame = msgspec.msgpack.Decoder(Frame).decode


def encode_block(frames: Sequence[bytes], urgent: bool = False) -> bytes:
    """The payload of a block. `urgent`: somebody waits until its events can be queried."""
    head = b"\xdd" + len(frames).to_bytes(4)  # MessagePack: an array with a 32-bit length
    return _MAGIC + bytes([_URGENT if urgent else 0]) + _compress(head + b"".join(frames))


def is_urgent(payload: bytes) -> bool:
    return payload[: len(_MAGIC)] == _MAGIC and bool(payload[len(_MAGIC)] & _URGENT)


def decode_block(payload: bytes) -> list[Frame]:
    """Raises Poison when the block as a whole cannot be read."""
    try:
        return _decode_frames(_unpacked(payload))
    except msgspec.MsgspecError as exc:
        raise Poison(f"a frame of the block cannot be read: {exc}") from exc


def split_block(payload: bytes) -> Iterator[bytes]:
    """The encoded frames of a block, undecoded: for finding the one that cannot be read."""
    try:
        return (bytes(raw) for raw in _decode_raw_frames(_unpacked(payload)))
    except msgspec.MsgspecError as exc:
        raise Poison(f"the block is not a list of frames: {exc}") from exc


def _unpacked(payload: bytes) -> bytes:
    if payload[: len(_MAGIC)] != _MAGIC:
        raise Poison(f"not a block of format {FORMAT}: it begins with {payload[:3].hex()}")
    try:
        return zstandard.ZstdDecompressor().decompress(payload[_HEADER:], max_output_size=_MAX_BLOCK)
    except zstandard.ZstdError as exc:
        raise Poison(f"the block cannot be decompressed: {exc}") from exc


def pack_letter(payload: bytes) -> tuple[bytes, int]:
    """A dead letter (a frame, or a block whose frames could not be told apart) as (block payload, events)."""
    if payload[: len(_MAGIC)] == _MAGIC:
        return payload, 1
    try:
        return encode_block([payload]), decode_frame(payload).count
    except msgspec.MsgspecError:
        return encode_block([payload]), 1


def show_letter(payload: bytes) -> str:
    """A dead letter for people: the client's own lines where they can be read, else the bytes in hexadecimal."""
    try:
        return decode_frame(payload).lines.decode()
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return payload.hex()
