"""A batch by shard: the rows of each block and bucket stay together, and in their order."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import fields

from headrace.model.event import ChosenIds, EventBatch

_NO_COLUMNS = frozenset(("blocks", "block_rows", "chosen"))
_COLUMNS = tuple(each.name for each in fields(EventBatch) if each.name not in _NO_COLUMNS)


def split(batch: EventBatch, shard_of: Mapping[int, int]) -> dict[int, EventBatch]:
    """One batch for each shard that has rows or blocks in `batch`; `batch` itself when there is only one."""
    shards = {shard_of[bucket] for _, bucket in batch.blocks}
    if len(shards) <= 1:
        return dict.fromkeys(shards, batch)
    parts = {shard: EventBatch() for shard in shards}
    moved: dict[int, tuple[EventBatch, int]] = {}  # the first row of an entry → where it is now
    ends = [*batch.block_rows[1:], len(batch)]
    for (block, bucket), start, end in zip(batch.blocks, batch.block_rows, ends, strict=True):
        part = parts[shard_of[bucket]]
        moved[start] = (part, len(part))
        part.blocks.append((block, bucket))
        part.block_rows.append(len(part))
        _extend(part, batch, start, end)
    _move_chosen(batch, moved)
    return parts


def _extend(part: EventBatch, batch: EventBatch, start: int, end: int) -> None:
    for name in _COLUMNS:
        column: array[int] | list[object] = getattr(part, name)
        column.extend(getattr(batch, name)[start:end])


def _move_chosen(batch: EventBatch, moved: Mapping[int, tuple[EventBatch, int]]) -> None:
    """Chosen ids are of one frame, so they lie within one block's rows of one bucket."""
    starts = sorted(moved)
    at = 0
    for entry in sorted(batch.chosen, key=lambda one: one.row):
        while at + 1 < len(starts) and starts[at + 1] <= entry.row:
            at += 1
        part, row = moved[starts[at]]
        part.chosen.append(ChosenIds(row + entry.row - starts[at], entry.count))
