from __future__ import annotations

import pytest

from headrace.adapters.prometheus.metrics import PrometheusMetrics
from headrace.errors import Unavailable
from headrace.ingest.drain import Drain
from headrace.ingest.frame import Frame, encode_block, encode_frame, pack_letter, show_letter
from headrace.kit.ids import uuid7
from headrace.model.block import Block, Delivery
from headrace.model.metric import DRAIN_LAG_SECONDS
from tests.unit.ingest.fakes import NOW, FixedClock, HeldQueue, ListedEvents, ListedLetters, NoMetrics, Silent


class Bench:
    def __init__(self) -> None:
        self.queue, self.events, self.letters, self.told = HeldQueue(), ListedEvents(), ListedLetters(), Silent()
        self.clock = FixedClock()
        self.drain = Drain(
            self.queue, self.events, self.letters, self.told, self.told, self.clock, NoMetrics()  # type: ignore[arg-type]  # fakes have what is called
        )  # fmt: skip

    def put(self, *frames: bytes, id: int = 1, events: int = 1) -> None:
        self.queue.waiting.append(Delivery(Block(id, encode_block(frames), events), id))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def frame(*messages: str, bucket: int = 7) -> bytes:
    lines = "\n".join(f'{{"message":"{message}"}}' for message in messages)
    return encode_frame(Frame(bucket, NOW, len(messages), lines.encode(), 5, 100))


async def test_what_waits_is_stored_told_and_then_acked(bench: Bench) -> None:
    bench.put(frame("a"), frame("b", "c"), id=1)
    bench.put(frame("d"), id=2)
    assert await bench.drain.step() == 4
    assert bench.events.messages == ["a", "b", "c", "d"]
    assert bench.told.told[0].block_ids == {1, 2}
    assert [delivery.block.id for delivery in bench.queue.acked] == [1, 2]


async def test_the_lag_is_that_of_the_oldest_block(bench: Bench) -> None:
    metrics = PrometheusMetrics()
    bench.drain._metrics = metrics
    for milliseconds in (100, 2_500):
        bench.put(frame("a"), id=uuid7(NOW - milliseconds * 1_000))
    await bench.drain.step()
    assert metrics.values(DRAIN_LAG_SECONDS)[()] == pytest.approx(2.5, abs=0.002)  # a UUIDv7 tells whole ms


async def test_a_store_that_is_away_puts_the_blocks_back(bench: Bench) -> None:
    bench.put(frame("a"))
    bench.events.error = Unavailable("disk full")
    with pytest.raises(Unavailable):
        await bench.drain.step()
    assert (len(bench.queue.released), bench.queue.acked, bench.events.messages) == (1, [], [])


async def test_one_poison_event_among_500_goes_to_the_dead_letters_alone(bench: Bench) -> None:
    bench.put(frame(*[f"m{n}" for n in range(250)], "poison", *[f"m{n}" for n in range(250, 499)]), events=500)
    assert await bench.drain.step() == 499
    assert "poison" not in " ".join(filter(None, bench.events.messages))
    (letter,) = bench.letters.letters
    assert (letter.bucket_id, show_letter(letter.payload)) == (7, '{"message":"poison"}')
    assert "cannot be stored" in letter.reason
    assert len(bench.queue.acked) == 1


async def test_the_ids_of_events_beside_a_poison_one_stay_as_they_were(bench: Bench) -> None:
    bench.put(frame("a", "poison", "c"), events=3)
    await bench.drain.step()
    assert bench.events.ids == [5 << 64 | 100, 5 << 64 | 102]


@pytest.mark.parametrize(
    "payload", [b"", b"garbage", b"HR\x01\x00garbage", encode_block([b"\xc1"]), encode_block([frame("a")])[:-3]]
)
async def test_a_block_that_cannot_be_read_becomes_a_dead_letter(bench: Bench, payload: bytes) -> None:
    bench.queue.waiting.append(Delivery(Block(1, payload, 1), 1))
    bench.put(frame("sound"), id=2)
    await bench.drain.step()
    assert bench.events.messages == ["sound"]
    assert len(bench.letters.letters) == 1
    assert len(bench.queue.acked) == 2


async def test_a_dead_letter_can_be_put_back_as_a_block(bench: Bench) -> None:
    bench.put(frame("a", "poison"), events=2)
    await bench.drain.step()
    payload, events = pack_letter(bench.letters.letters[0].payload.replace(b"poison", b"potion"))
    bench.queue.waiting.append(Delivery(Block(9, payload, events), 9))
    assert await bench.drain.step() == 1
    assert bench.events.messages == ["a", "potion"]


async def test_rows_of_a_block_are_grouped_by_bucket_for_its_ids(bench: Bench) -> None:
    bench.put(frame("a", bucket=1), frame("b", bucket=2), frame("c", bucket=1), events=3)
    await bench.drain.step()
    batch = bench.events.batches[0]
    assert (batch.blocks, batch.block_rows, batch.message) == ([(1, 1), (1, 2)], [0, 2], ["a", "c", "b"])


async def test_after_a_write_the_drain_gathers_before_it_writes_again(bench: Bench) -> None:
    bench.put(frame("a"), id=1)
    await bench.drain.step()
    late = iter([Delivery(Block(n, encode_block([frame(f"b{n}")]), 1), n) for n in range(2, 5)])

    async def receive(max_events: int, wait: float) -> list[Delivery]:
        return [one] if (one := next(late, None)) else []

    bench.queue.receive = receive  # type: ignore[method-assign]  # what comes while it gathers
    assert await bench.drain.step() == 3
    assert len(bench.events.batches) == 2


async def test_nobody_who_waits_for_the_store_waits_for_the_gathering(bench: Bench) -> None:
    bench.put(frame("a"), id=1)
    await bench.drain.step()
    before = bench.clock.seconds
    bench.queue.waiting.append(Delivery(Block(2, encode_block([frame("b")], urgent=True), 1), 2))
    await bench.drain.step()
    assert bench.clock.seconds == before


async def test_a_letter_has_the_same_id_in_whatever_company_its_block_comes_again(bench: Bench) -> None:
    bench.put(frame("a", "poison"), id=5, events=2)
    await bench.drain.step()
    bench.put(frame("poison"), id=4)
    bench.put(frame("a", "poison"), id=5, events=2)
    await bench.drain.step()
    first, other, again = bench.letters.letters
    assert first.id == again.id != other.id
