"""What goes in, what is refused, and under which ids."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest

from headrace.errors import Invalid, Malformed, TooLarge
from headrace.ingest.batcher import Batcher
from headrace.ingest.columns import batch_of
from headrace.ingest.frame import decode_block
from headrace.ingest.framing import Accepted, Door
from headrace.ingest.intake import MAX_ITEMS, Intake
from headrace.model.bucket import Bucket
from headrace.model.event import EventBatch
from tests.unit.ingest.fakes import BUCKET, NOW, FixedClock, HeldQueue, NoMetrics

DOOR = Door(BUCKET)


class Bench:
    """An intake whose blocks can be looked into."""

    def __init__(self) -> None:
        self.queue = HeldQueue()
        clock, metrics = FixedClock(), NoMetrics()
        self.intake = Intake(Batcher(self.queue, clock, metrics, max_bytes=1 << 28), None, clock, metrics)  # type: ignore[arg-type]  # nobody waits here

    @property
    def batch(self) -> EventBatch:
        return batch_of([(block.id, decode_block(block.payload)) for block in self.queue.blocks])

    @property
    def ids(self) -> list[str]:
        return [str(UUID(int=hi << 64 | lo)) for hi, lo in zip(self.batch.id_hi, self.batch.id_lo, strict=True)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def refused(bench: Bench, line: str) -> str:
    """The code of the refusal of `line`, its neighbours being taken all the same."""
    accepted = await bench.intake.lines(
        DOOR, b'{"message":"a"}\n' + line.encode("utf-8", "surrogatepass") + b'\n{"message":"b"}'
    )
    assert (accepted.count, accepted.rejected, accepted.errors[0].index) == (2, 1, 1)
    assert bench.batch.message == ["a", "b"]
    return accepted.errors[0].code


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("{", "invalid-json"),
        ("[1]", "invalid-field"),
        ("null", "invalid-field"),
        ("{}", "missing-field"),
        ('{"message":"x","foo":1}', "unknown-field"),
        ('{"message":"x","actor":{"id":"a","ip":"1"}}', "unknown-field"),
        ('{"message":1}', "invalid-field"),
        ('{"message":"x","level":"loud"}', "invalid-level"),
        ('{"message":"x","outcome":"maybe"}', "invalid-outcome"),
        ('{"message":"x","attributes":[1]}', "invalid-attributes"),
        ('{"message":"x","attributes":"{}"}', "invalid-attributes"),
        ('{"message":"x","time":"2026-11-20T12:00:00"}', "invalid-field"),
        ('{"message":"x","time":"1969-12-31T23:59:59Z"}', "invalid-time"),
        ('{"message":"x","time":"2262-01-01T00:00:00Z"}', "invalid-time"),
        ('{"message":"x","time":1e30}', "invalid-time"),
        ('{"message":"x","time":NaN}', "invalid-json"),
        ('{"message":"x","attributes":{"a":Infinity}}', "invalid-json"),
        ('{"message":"x","id":"42"}', "invalid-id"),
        ('{"message":"x","id":"01a1f8d3-ea7b-7217-bc46-36ea9867df14","dedup_key":"k"}', "invalid-id"),
        ('{"message":"x","dedup_key":""}', "invalid-dedup-key"),
        ('{"message":"x","dedup_key":"' + "k" * 257 + '"}', "invalid-dedup-key"),
        (r'{"message":"\u0000"}', "invalid-text"),
        (r'{"message":"x","attributes":{"a":"\u0000"}}', "invalid-text"),
        (r'{"message":"x","attributes":{"\u0000":1}}', "invalid-text"),
        (r'{"message":"\ud800"}', "invalid-text"),
        (r'{"message":"x","attributes":{"a":"\udc00"}}', "invalid-text"),
        ('{"message":"x","attributes":{"a":"\ud800"}}', "invalid-utf8"),
        ('{"message":"x","attributes":' + "[" * 200_000 + "}", "invalid-json"),
        ('{"message":"x","attributes":' + '{"a":' * 100_000 + "1" + "}" * 100_001, "too-large"),
        ('{"message":"' + "x" * 256 * 1024 + '"}', "too-large"),
        ('{"message":"x"} {"message":"y"}', "invalid-json"),
        ('{"message":\n"x"}', "invalid-json"),
    ],
)
async def test_a_bad_line_is_its_own_error_and_its_neighbours_are_taken(bench: Bench, line: str, code: str) -> None:
    if "\n" in line:
        accepted = await bench.intake.lines(DOOR, line.encode() + b'\n{"message":"b"}')
        assert (accepted.count, accepted.rejected) == (1, 2)
        return
    assert await refused(bench, line) == code


@pytest.mark.parametrize(
    "line",
    [
        r'{"message":"\\u0000"}',
        r'{"message":"\ud83d\ude00"}',
        '{"message":"x","attributes":{"n":' + "9" * 5_000 + "}}",
        '{"message":"x","attributes":{"n":1e999,"n":18446744073709551616}}',
        '{"message":"x","attributes":{' + ",".join(f'"k{n}":1' for n in range(10_000)) + "}}",
        '{"message":"x","attributes":null}',
        '{"action":"a.b","level":"WARN"}',
        '{"message":"x","time":1700000000}',
    ],
)
async def test_odd_but_valid_events_are_taken(bench: Bench, line: str) -> None:
    accepted = await bench.intake.lines(DOOR, line.encode())
    assert (accepted.count, accepted.rejected) == (1, 0)
    assert len(bench.batch) == 1


async def test_attributes_keep_their_digits_and_their_order(bench: Bench) -> None:
    await bench.intake.one(
        DOOR, b'{"message":"m","attributes":{"b": 1.10,"a":1e999,"b":123456789012345678901234567890}}'
    )
    assert bench.batch.attributes == [b'{"b": 1.10,"a":1e999,"b":123456789012345678901234567890}']


@pytest.mark.parametrize(
    ("time", "us"),
    [
        ("1700000000", 1_700_000_000_000_000),
        ("1700000000.25", 1_700_000_000_250_000),
        ("1700000000123", 1_700_000_000_123_000),
        ("1700000000123456", 1_700_000_000_123_456),
        ("1700000000123456789", 1_700_000_000_123_457),
        ('"2023-11-14T22:13:20Z"', 1_700_000_000_000_000),
        ('"2023-11-15T00:13:20.5+02:00"', 1_700_000_000_500_000),
    ],
)
async def test_times_come_in_every_documented_form(bench: Bench, time: str, us: int) -> None:
    await bench.intake.one(DOOR, b'{"message":"m","time":%s}' % time.encode())
    assert bench.batch.time[0] == datetime.fromtimestamp(us // 1_000_000, UTC).replace(microsecond=us % 1_000_000)


async def test_an_event_without_a_time_happened_when_it_was_received(bench: Bench) -> None:
    await bench.intake.lines(DOOR, b'{"message":"a"}\n{"message":"b","time":1}')
    assert bench.batch.time[0] == datetime.fromtimestamp(NOW / 1e6, UTC)
    assert list(bench.batch.received_at) == [NOW, NOW]
    assert bench.batch.time[1] == datetime.fromtimestamp(1, UTC)


async def test_an_event_past_the_retention_is_an_item_error() -> None:
    bench = Bench()
    door = Door(Bucket(7, "app", "", 30, NOW))
    old, young = NOW // 1_000_000 - 31 * 86_400, NOW // 1_000_000 - 29 * 86_400
    accepted = await bench.intake.lines(
        door, b'{"message":"old","time":%d}\n{"message":"young","time":%d}' % (old, young)
    )
    assert [error.code for error in accepted.errors] == ["past-retention"]
    assert bench.batch.message == ["young"]


async def test_the_answered_ids_are_the_stored_ones_in_order(bench: Bench) -> None:
    body = b"\n".join(b'{"message":"m%d"}' % n for n in range(5_000))
    accepted = await bench.intake.lines(DOOR, body)
    assert accepted.ids == bench.ids
    assert len(set(accepted.ids)) == 5_000
    assert {UUID(one).version for one in accepted.ids} == {7}
    assert bench.batch.chosen == []


async def test_an_id_of_the_client_is_kept_in_lower_case(bench: Bench) -> None:
    own = "0A1B2C3D-EA7B-4217-BC46-36EA9867DF14"
    accepted = await bench.intake.one(DOOR, b'{"message":"m","id":"%s"}' % own.encode())
    assert accepted.ids == bench.ids == [own.lower()]
    assert len(bench.batch.chosen) == 1


async def test_the_nil_uuid_is_an_id_like_any_other(bench: Bench) -> None:
    accepted = await bench.intake.lines(DOOR, b'{"message":"m","id":"00000000-0000-0000-0000-000000000000"}')
    assert accepted.ids == ["00000000-0000-0000-0000-000000000000"] == bench.ids


async def test_a_dedup_key_gives_the_same_id_in_its_bucket_and_another_elsewhere(bench: Bench) -> None:
    event = b'{"message":"m","dedup_key":"invoice-1"}'
    first, again = [await bench.intake.one(DOOR, event) for _ in range(2)]
    other = await bench.intake.one(Door(Bucket(8, "other", "", None, NOW)), event)
    assert first.ids == again.ids != other.ids
    assert UUID(first.ids[0]).version == 5


async def test_an_idempotency_key_gives_each_place_of_the_body_its_id(bench: Bench) -> None:
    body = b'{"message":"a"}\n{"message":1}\n{"message":"c"}'
    door = Door(BUCKET, idempotency_key="k")
    first, again = await bench.intake.lines(door, body), await bench.intake.lines(door, body)
    mended = await bench.intake.lines(door, body.replace(b":1", b':"b"'))
    assert first.ids == again.ids == [mended.ids[0], mended.ids[2]]
    assert bench.ids == first.ids + again.ids + mended.ids
    assert len(bench.batch.chosen) == 2 + 2 + 1  # the last body is one range of three


async def test_blank_lines_do_not_count(bench: Bench) -> None:
    accepted = await bench.intake.lines(DOOR, b'\n\n{"message":"a"}\n  \r\n{"message":1}\r\n\n')
    assert (accepted.count, accepted.errors[0].index) == (1, 1)


async def test_a_byte_order_mark_is_passed_over(bench: Bench) -> None:
    await bench.intake.one(DOOR, b'\xef\xbb\xbf{"message":"a"}')
    await bench.intake.lines(DOOR, b'\xef\xbb\xbf{"message":"b"}')
    await bench.intake.array(DOOR, b'\xef\xbb\xbf[{"message":"c"}]')
    assert bench.batch.message == ["a", "b", "c"]


async def test_half_a_surrogate_pair_spoils_only_its_own_item_of_an_array(bench: Bench) -> None:
    body = rb'[{"message":"a"},{"message":"\ud800"},'
    body += rb'{"message":"x","attributes":{"k":"\udc00"}},{"message":"\\ud800 \ud83d\ude00"}]'
    accepted = await bench.intake.array(DOOR, body)
    assert [error.index for error in accepted.errors] == [1, 2]
    assert bench.batch.message == ["a", "\\ud800 😀"]


@pytest.mark.parametrize("deep", ["[" * 100_000 + "]" * 100_000, '{"a":' * 90_000 + "1" + "}" * 90_000])
async def test_a_deeply_nested_item_of_an_array_is_refused_alone(bench: Bench, deep: str) -> None:
    body = f'[{{"message":"a, [b"}},{{"message":"x","attributes":{{"k":{deep}}}}}, {{"message":"c"}}]'
    accepted = await bench.intake.array(DOOR, body.encode())
    assert [error.index for error in accepted.errors] == [1]
    assert bench.batch.message == ["a, [b", "c"]


async def test_an_array_that_does_not_end_is_malformed_however_deep(bench: Bench) -> None:
    for body in (b"[" * 100_000, b'[{"message":"a"}', b'[{"message":"a"}] x'):
        with pytest.raises(Malformed):
            await bench.intake.array(DOOR, body)


async def test_a_pretty_printed_array_is_taken_item_by_item(bench: Bench) -> None:
    body = json.dumps([{"message": "a"}, {"message": 1}, {"message": "c", "attributes": {"x": [1, 2]}}], indent=2)
    accepted = await bench.intake.array(DOOR, body.encode())
    assert (accepted.count, accepted.rejected, accepted.errors[0].index) == (2, 1, 1)
    assert bench.batch.message == ["a", "c"]


@pytest.mark.parametrize("size", [1, 999, 1_000, 3_000])
async def test_every_line_of_a_body_of_many_slices_is_taken_once(bench: Bench, size: int) -> None:
    filler = "x" * size
    accepted = await bench.intake.lines(
        DOOR, b"\n".join(b'{"message":"%d %s"}' % (n, filler.encode()) for n in range(2_000))
    )
    assert accepted.count == 2_000
    assert [int((message or "").split()[0]) for message in bench.batch.message] == list(range(2_000))


async def test_too_many_items_are_refused_before_any_is_taken(bench: Bench) -> None:
    with pytest.raises(TooLarge):
        await bench.intake.lines(DOOR, b'{"message":"a"}\n' * (MAX_ITEMS + 1))
    assert bench.queue.blocks == []


@pytest.mark.parametrize(("body", "error"), [(b"", Invalid), (b"\n\n", Invalid), (b'{"message":1}\n', Invalid)])
async def test_lines_of_which_none_can_be_taken_are_refused_as_a_whole(
    bench: Bench, body: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await bench.intake.lines(DOOR, body)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", Malformed),
        (b"{", Malformed),
        (b"[]", Invalid),
        (b'{"foo":1}', Invalid),
        (b'{"message":"\xff"}', Malformed),
    ],
)
async def test_a_single_event_that_cannot_be_taken_says_why(bench: Bench, body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        await bench.intake.one(DOOR, body)


async def test_at_most_a_hundred_errors_are_spelled_out(bench: Bench) -> None:
    accepted: Accepted = await bench.intake.lines(DOOR, b'{"message":"a"}\n' + b"{}\n" * 500)
    assert (accepted.rejected, len(accepted.errors)) == (500, 100)
