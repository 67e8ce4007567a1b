"""The desk of the dead letters."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headrace.errors import Invalid, Malformed
from headrace.kit.ids import format_id
from headrace.model.block import DeadLetter
from headrace.model.bucket import Bucket
from headrace.operations.dead_letters import DeadLetterDesk, Envelope, replay_block_id
from tests.unit.operations.fakes import ADMIN, Audit, Clock, Letters, Queue

ENVELOPE = Envelope(pack=lambda payload: (b"block:" + payload, 2), show=lambda payload: payload.decode())
NOW = 1_800_000_000_000_000


def letter(number: int, received_at: int = NOW) -> DeadLetter:
    return DeadLetter(number, 1, "not UTF-8", received_at, b"frame %d" % number)


class OneBucket:
    async def list(self) -> list[Bucket]:
        return [Bucket(1, "app", "", None, NOW)]


class World:
    def __init__(self, *letters: DeadLetter) -> None:
        self.letters, self.queue, self.audit = Letters(letters), Queue(), Audit()
        self.desk = DeadLetterDesk(self.letters, self.queue, OneBucket(), Clock(), self.audit, ENVELOPE)  # type: ignore[arg-type]  # it is only asked for a list


async def test_pages_lead_through_all_of_them_newest_first() -> None:
    desk = World(*map(letter, range(1, 6))).desk
    seen, cursor = [], None
    while True:
        page = await desk.list(bucket_id=None, since=None, limit=2, cursor=cursor)
        seen += [one.id for one in page.letters]
        if (cursor := page.next_cursor) is None:
            break
    assert seen == [5, 4, 3, 2, 1]


async def test_a_foreign_cursor_is_malformed() -> None:
    with pytest.raises(Malformed) as caught:
        await World().desk.list(bucket_id=None, since=None, limit=2, cursor="' or 1=1")
    assert caught.value.items[0].field == "cursor"


async def test_a_replayed_letter_goes_back_as_a_block_and_is_forgotten() -> None:
    world = World(letter(1), letter(2))
    assert await world.desk.replay(ADMIN, [format_id(2), format_id(77)], None) == 1
    assert [block.payload for block in world.queue.blocks] == [b"block:frame 2"]
    assert world.queue.blocks[0].events == 2
    assert list(world.letters.kept) == [1]


async def test_a_crash_between_queue_and_forgetting_replays_the_same_block_id() -> None:
    world = World(letter(1))
    world.letters.fail_remove = True
    with pytest.raises(OSError, match="killed here"):
        await world.desk.replay(ADMIN, [format_id(1)], None)
    world.letters.fail_remove = False
    await world.desk.replay(ADMIN, [format_id(1)], None)
    first, second = world.queue.blocks
    assert first.id == second.id


async def test_replay_since_takes_only_later_ones_and_ends_when_letters_die_again() -> None:
    world = World(letter(1, NOW - 10), *map(letter, range(2, 8)))
    put = world.queue.put
    reborn = iter(range(100, 1000))

    async def die_again(block: object) -> None:
        await put(block)  # type: ignore[arg-type]
        await world.letters.add([replace(letter(1), id=next(reborn))])

    world.queue.put = die_again  # type: ignore[method-assign,assignment]
    assert await world.desk.replay(ADMIN, None, NOW) == 7  # as many as there were, not for ever
    assert 1 in world.letters.kept


@pytest.mark.parametrize(("ids", "since"), [(None, None), ([format_id(1)], NOW)])
async def test_just_one_of_ids_and_since_must_be_given(ids: list[str] | None, since: int | None) -> None:
    with pytest.raises(Invalid):
        await World(letter(1)).desk.replay(ADMIN, ids, since)


async def test_an_id_that_is_none_is_named_by_its_place() -> None:
    with pytest.raises(Invalid) as caught:
        await World().desk.replay(ADMIN, [format_id(1), "nonsense"], None)
    assert caught.value.items[0].index == 1


async def test_a_replay_is_audited() -> None:
    world = World(letter(1))
    await world.desk.replay(ADMIN, [format_id(1)], None)
    assert [(one.action, one.actor_id, one.attributes) for one in world.audit.records] == [
        ("dead_letters.replayed", "k1", {"replayed": 1})
    ]


def test_the_id_of_a_replayed_block_is_a_uuid7_of_the_receipt() -> None:
    made = replay_block_id(letter(5))
    assert made >> 80 == NOW // 1000
    assert made >> 76 & 0xF == 7
    assert made >> 62 & 3 == 2
    assert made != replay_block_id(letter(6))


async def test_a_letter_of_a_deleted_bucket_is_forgotten_and_not_written_into_nowhere() -> None:
    world = World(letter(1), replace(letter(2), bucket_id=99))
    assert await world.desk.replay(ADMIN, None, NOW) == 1
    assert [block.payload for block in world.queue.blocks] == [b"block:frame 1"]
    assert list(world.letters.kept) == []
