"""Which rows of a batch to leave out, because a client sent them again, or the queue their block."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat

from headrace.adapters.duckdb.arrow import slices
from headrace.adapters.duckdb.known_ids import RANGE_BITS, KnownIds, keys, range_keys
from headrace.model.event import ChosenIds, EventBatch

_RANGE = 1 << RANGE_BITS


@dataclass(slots=True)
class Ids:
    """Columns of client_ids: from (id_hi, id_lo) on, `n` consecutive ids."""

    bucket_id: array[int] = field(default_factory=lambda: array("q"))
    id_hi: array[int] = field(default_factory=lambda: array("Q"))
    id_lo: array[int] = field(default_factory=lambda: array("Q"))
    n: array[int] = field(default_factory=lambda: array("q"))

    def add(self, batch: EventBatch, row: int, count: int) -> None:
        """A range. Only before `add_singles`."""
        self.bucket_id.append(batch.bucket_id[row])
        self.id_hi.append(batch.id_hi[row])
        self.id_lo.append(batch.id_lo[row])
        self.n.append(count)

    def add_singles(self, batch: EventBatch, rows: Sequence[int]) -> None:
        if len(rows) == len(batch) and not self.n:  # all: nothing to pick
            self.bucket_id, self.id_hi, self.id_lo = batch.bucket_id, batch.id_hi, batch.id_lo
            self.n = array("q", [1]) * len(rows)
            return
        for part in slices(len(rows)):
            for column, values in (
                (self.bucket_id, batch.bucket_id), (self.id_hi, batch.id_hi), (self.id_lo, batch.id_lo),
            ):  # fmt: skip
                column.extend([values[row] for row in rows[part]])
            self.n.extend(repeat(1, part.stop - part.start))


@dataclass(slots=True)
class Chosen:
    """The rows whose ids clients chose: single ones, and ranges that share all but the lowest RANGE_BITS."""

    singles: list[int] = field(default_factory=list)
    single_keys: list[int] = field(default_factory=list)
    ranges: list[ChosenIds] = field(default_factory=list)
    range_keys: list[int] = field(default_factory=list)

    def remember(self, batch: EventBatch, known: KnownIds, at: int) -> None:
        known.singles.add(self.single_keys, at)
        known.ranges.add(self.range_keys, at)
        for part in slices(len(self.singles)):
            known.singles_by_range.add(_range_keys(batch, self.singles[part]), at)


def chosen(batch: EventBatch, skipped: Sequence[range]) -> Chosen:
    """The chosen ids outside the rows `skipped`."""
    result = Chosen()
    entries: Iterable[ChosenIds] = batch.chosen
    if skipped:
        entries = [entry for entry in entries if not any(entry.row in rows for rows in skipped)]
    for entry in entries:
        if entry.count == 1:
            result.singles.append(entry.row)
        else:
            result.ranges += _split(batch, entry)
    for part in slices(len(result.singles)):
        result.single_keys += keys(batch.bucket_id, batch.id_hi, batch.id_lo, result.singles[part])
    result.range_keys = _range_keys(batch, [entry.row for entry in result.ranges])
    return result


def doubtful(batch: EventBatch, chosen: Chosen, known: KnownIds) -> set[int]:
    """Rows that may be stored already, or be in the batch twice: few, and all that are."""
    rows = set(_twice(chosen.singles, chosen.single_keys))
    suspects = set(_twice(range(len(chosen.ranges)), chosen.range_keys))
    suspects.update(known.ranges.known(chosen.range_keys), known.singles_by_range.known(chosen.range_keys))
    here = set(chosen.range_keys)
    for part in slices(len(chosen.singles)):
        singles = chosen.singles[part]
        rows.update(singles[place] for place in known.singles.known(chosen.single_keys[part]))
        if here or known.ranges:
            coarse = _range_keys(batch, singles)
            rows.update(singles[place] for place in known.ranges.known(coarse))
            rows.update(row for row, key in zip(singles, coarse, strict=True) if key in here)
            shared = here.intersection(coarse)
            suspects.update(place for place, key in enumerate(chosen.range_keys) if key in shared)
    for place in suspects:
        entry = chosen.ranges[place]
        rows.update(range(entry.row, entry.row + entry.count))
    return rows


def duplicates(batch: EventBatch, rows: set[int], stored: Callable[[Ids], set[int]]) -> set[int]:
    """Those of `rows` whose ids are stored (as `stored` tells, by places), or come earlier in the batch."""
    order = sorted(rows)
    ids = Ids()
    ids.add_singles(batch, order)
    left_out = {order[place] for place in stored(ids)} if order else set()
    seen: set[tuple[int, int, int]] = set()
    for row in order:
        identity = (batch.bucket_id[row], batch.id_hi[row], batch.id_lo[row])
        if identity in seen:
            left_out.add(row)
        seen.add(identity)
    return left_out


def new_ids(batch: EventBatch, chosen: Chosen, left_out: set[int]) -> Ids:
    """What to remember: the chosen ids without the rows left out."""
    ids = Ids()
    for entry in chosen.ranges:
        for row, count in _runs(entry, left_out):
            ids.add(batch, row, count)
    ids.add_singles(batch, [row for row in chosen.singles if row not in left_out] if left_out else chosen.singles)
    return ids


def _range_keys(batch: EventBatch, rows: Sequence[int]) -> list[int]:
    return range_keys(batch.bucket_id, batch.id_hi, batch.id_lo, rows)


def _split(batch: EventBatch, entry: ChosenIds) -> Iterator[ChosenIds]:
    row, left = entry.row, entry.count
    while left:
        count = min(left, _RANGE - batch.id_lo[row] % _RANGE)
        yield ChosenIds(row, count)
        row, left = row + count, left - count


def _twice(places: Sequence[int], place_keys: Sequence[int]) -> Iterator[int]:
    """The places whose keys occur more than once."""
    distinct: set[int] = set()
    for part in slices(len(place_keys)):
        distinct.update(place_keys[part])
    if len(distinct) < len(place_keys):
        counts = Counter(place_keys)
        yield from (place for place, key in zip(places, place_keys, strict=True) if counts[key] > 1)


def _runs(entry: ChosenIds, left_out: set[int]) -> Iterator[tuple[int, int]]:
    """The parts of a range that are not left out: (row, count)."""
    if not left_out:
        yield entry.row, entry.count
        return
    start = entry.row
    for row in range(entry.row, entry.row + entry.count + 1):
        if row == entry.row + entry.count or row in left_out:
            if row > start:
                yield start, row - start
            start = row + 1
