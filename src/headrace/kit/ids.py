"""UUIDs as plain integers: the shape in which the hot path makes, stores and compares them (RFC 9562)."""

from __future__ import annotations

import hashlib
import random
import re
from uuid import UUID

_MASK_64 = (1 << 64) - 1
_VERSION_7 = 7 << 76 | 2 << 62
_RAND_B = (1 << 62) - 1 & ~(1 << 47)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z", re.IGNORECASE)


def format_id(value: int) -> str:
    """The canonical text of a UUID, in lower case."""
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def parse_id(text: str) -> int:
    """The UUID in canonical form (8-4-4-4-12, any case). Raises ValueError for anything else."""
    if not _UUID.match(text):
        raise ValueError(f"{text[:64]!r} is not a UUID of the form 8-4-4-4-12 hexadecimal digits")
    return int(text.replace("-", ""), 16)


def uuid7(now_us: int) -> int:
    """A UUIDv7 for this time, with room for 2^47 consecutive ids after it (RFC 9562, 6.2: monotonic random).

    Bit 47 is left 0, so that counting up never carries into the bits above. The bits come from the Mersenne Twister,
    seeded by the system in each process: ids have to be unique, they need not be secret (0.1 µs; os.urandom takes 1).
    """
    bits = random.getrandbits(74)
    return now_us // 1000 << 80 | _VERSION_7 | bits >> 62 << 64 | bits & _RAND_B


def uuid5(namespace: UUID, name: bytes) -> int:
    """The UUIDv5 (SHA-1) of `name` in `namespace`."""
    digest = int.from_bytes(hashlib.sha1(namespace.bytes + name, usedforsecurity=False).digest()[:16])
    return digest & ~(0xF << 76) & ~(3 << 62) | 5 << 76 | 2 << 62


def halves(value: int) -> tuple[int, int]:
    """The upper and the lower 64 bits."""
    return value >> 64, value & _MASK_64


def joined(hi: int, lo: int) -> int:
    """The integer of which these are the halves."""
    return hi << 64 | lo
