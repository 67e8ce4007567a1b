"""The desk of the dead letters: look at what could not be stored, and try it again when its reason is gone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headrace.errors import Invalid, ItemError, Malformed
from headrace.kit.ids import format_id, parse_id, uuid7
from headrace.model.audit import AuditRecord
from headrace.model.block import Block, DeadLetter
from headrace.model.principal import Principal
from headrace.ports.audit import AuditOutbox
from headrace.ports.buckets import Buckets
from headrace.ports.clock import Clock
from headrace.ports.dead_letters import DeadLetters
from headrace.ports.queue import Queue

_PAGE = 200  # letters in memory at once; each may be a quarter MiB
_MASK_74 = (1 << 74) - 1


@dataclass(frozen=True, slots=True)
class LetterPage:
    letters: Sequence[DeadLetter]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Envelope:
    """How frames lie in blocks, known to ingest: `pack` makes a letter's payload into a block's (payload, events);
    `show` makes it readable."""

    pack: Callable[[bytes], tuple[bytes, int]]
    show: Callable[[bytes], str]


class DeadLetterDesk:
    """Callers have made sure that an administrator asks."""

    def __init__(
        self,
        dead_letters: DeadLetters,
        queue: Queue,
        buckets: Buckets,
        clock: Clock,
        audit: AuditOutbox,
        envelope: Envelope,
    ) -> None:
        self._dead_letters = dead_letters
        self._buckets = buckets
        self._queue = queue
        self._clock = clock
        self._audit = audit
        self._envelope = envelope

    async def list(
        self, *, bucket_id: int | None, since: int | None, limit: int, cursor: str | None
    ) -> LetterPage:
        """Newest first. `since` in µs. Raises Malformed for a cursor that is not one of ours."""
        after = None if cursor is None else _position(cursor)
        found = await self._dead_letters.list(bucket_id=bucket_id, since=since, after=after, limit=limit + 1)
        more = len(found) > limit
        return LetterPage(found[:limit], format_id(found[limit - 1].id) if more else None)

    def shown(self, letter: DeadLetter) -> str:
        """The payload as text."""
        return self._envelope.show(letter.payload)

    async def replay(self, by: Principal, ids: Sequence[str] | None, since: int | None) -> int:
        """Put letters back into the queue, durably; how many. What still cannot be stored comes back as a new letter.

        Raises Invalid unless just one of `ids` and `since` is given.
        """
        if (ids is None) == (since is None):
            raise Invalid("Say which letters: give `ids` or `since`.")
        replayed = await self._replay_ids(_parsed(ids)) if ids is not None else await self._replay_since(since)
        await self._audit.add(self._record(by, replayed))
        return replayed

    async def _replay_ids(self, ids: Sequence[int]) -> int:
        replayed = 0
        for begin in range(0, len(ids), _PAGE):
            page = ids[begin : begin + _PAGE]
            replayed += await self._put_back(await self._dead_letters.take(page, None, _PAGE))
        return replayed

    async def _replay_since(self, since: int | None) -> int:
        # A letter that dies again comes back while we loop: never replay more than there were.
        left = await self._dead_letters.count()
        replayed = 0
        while left > 0 and (letters := await self._dead_letters.take(None, since, min(left, _PAGE))):
            replayed += await self._put_back(letters)
            left -= len(letters)
        return replayed

    async def _put_back(self, letters: Sequence[DeadLetter]) -> int:
        there = {bucket.id for bucket in await self._buckets.list()}
        replayed = 0
        for letter in letters:
            if letter.bucket_id is not None and letter.bucket_id not in there:
                await self._dead_letters.remove([letter.id])  # its bucket was deleted, and it with it
                continue
            payload, events = self._envelope.pack(letter.payload)
            await self._queue.put(Block(replay_block_id(letter), payload, events))
            # Only now is it safe to forget it. A crash in between leaves it in both, and a second replay makes a block
            # of the same id, which the store skips.
            await self._dead_letters.remove([letter.id])
            replayed += 1
        return replayed

    def _record(self, by: Principal, replayed: int) -> AuditRecord:
        now = self._clock.now()
        return AuditRecord(
            uuid7(now), now, "dead_letters.replayed", by.id, by.kind, "dead-letters", "queue",
            attributes={"replayed": replayed},
        )  # fmt: skip


def replay_block_id(letter: DeadLetter) -> int:
    """A UUIDv7 that the same letter always gives: the time of its receipt, and bits from its id."""
    bits = int.from_bytes(hashlib.sha256(b"replay\0" + letter.id.to_bytes(16)).digest()[:10]) & _MASK_74
    return (letter.received_at // 1000) << 80 | 7 << 76 | (bits >> 62) << 64 | 2 << 62 | bits & ((1 << 62) - 1)


def _position(cursor: str) -> int:
    try:
        return parse_id(cursor)
    except ValueError:
        raise Malformed(
            "This cursor is not one that was handed out.",
            items=[ItemError("bad-cursor", "use `next_cursor` of the page before", field="cursor")],
        ) from None


def _parsed(ids: Sequence[str]) -> list[int]:
    parsed: list[int] = []
    wrong: list[ItemError] = []
    for index, text in enumerate(ids):
        try:
            parsed.append(parse_id(text))
        except ValueError as exc:
            wrong.append(ItemError("invalid-id", str(exc), index=index))
    if wrong:
        raise Invalid("Some of `ids` are no ids.", items=wrong)
    return parsed
