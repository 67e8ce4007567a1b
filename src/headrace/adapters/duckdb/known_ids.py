"""Filters in memory that know the ids which clients chose: at most one in 100,000 ids never seen is mistaken for known.

They answer in 0.2 µs where the table would have to be scanned (15 ms at 5 M ids), and take 5 bytes an id.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rbloom import Bloom

from headrace.adapters.duckdb.arrow import slices

RANGE_BITS = 20
"""Ids of one range share all bits above these."""

_SIZE = 6_000_000  # keys in one Bloom filter: 18 MB at the finer rate, of which only what is used becomes real memory
_HI_FACTOR, _BUCKET_FACTOR = 0x9E3779B1, 0x85EBCA6B
_MASK = (1 << 64) - 1

KEY_SQL = f"((id_hi::UHUGEINT * {_HI_FACTOR} + id_lo + bucket_id * {_BUCKET_FACTOR}::UHUGEINT) & {_MASK})::UBIGINT"
RANGE_KEY_SQL = KEY_SQL.replace("id_lo", f"(id_lo >> {RANGE_BITS})")


def keys(bucket_ids: Sequence[int], his: Sequence[int], los: Sequence[int], rows: Sequence[int]) -> list[int]:
    """A number for each id, the same as KEY_SQL; different ids seldom share one."""
    return [(his[row] * _HI_FACTOR + los[row] + bucket_ids[row] * _BUCKET_FACTOR) & _MASK for row in rows]


def range_keys(bucket_ids: Sequence[int], his: Sequence[int], los: Sequence[int], rows: Sequence[int]) -> list[int]:
    """The same for all ids that differ in the lowest RANGE_BITS only."""
    return [
        (his[row] * _HI_FACTOR + (los[row] >> RANGE_BITS) + bucket_ids[row] * _BUCKET_FACTOR) & _MASK for row in rows
    ]


@dataclass(slots=True)
class _Part:
    bloom: Bloom
    room: int
    newest: int = 0


class KeyFilter:
    """A set of keys that forgets by dropping the parts in which everything is old."""

    def __init__(self, error: float) -> None:
        """`error`: how many of the keys never added are believed to be there."""
        self._error = error
        self._parts: list[_Part] = []

    def __bool__(self) -> bool:
        return bool(self._parts)

    def known(self, wanted: Sequence[int]) -> Iterator[int]:
        """The places in `wanted` of the keys that are (very likely) there."""
        for part in self._parts:
            bloom = part.bloom
            yield from [place for place, key in enumerate(wanted) if key in bloom]

    def add(self, new: Sequence[int], at: int) -> None:
        """Remember keys, seen at this time (µs)."""
        for part in slices(len(new)):
            if not self._parts or self._parts[-1].room <= 0:
                self._parts.append(_Part(Bloom(_SIZE, self._error), _SIZE))
            last = self._parts[-1]
            last.bloom.update(new[part])
            last.room -= part.stop - part.start
            last.newest = max(last.newest, at)

    def forget(self, before: int) -> None:
        self._parts = [part for part in self._parts if part.newest >= before]


class KnownIds:
    """Single ids, and ranges of ids; each kind is found by the other, whichever came first."""

    def __init__(self) -> None:
        self.singles = KeyFilter(1e-5)
        self.singles_by_range = KeyFilter(1e-2)  # asked once for a range, not for each of its events
        self.ranges = KeyFilter(1e-5)

    def forget(self, before: int) -> None:
        """Ids seen before this time (µs) need not be known any more."""
        for known in (self.singles, self.singles_by_range, self.ranges):
            known.forget(before)
