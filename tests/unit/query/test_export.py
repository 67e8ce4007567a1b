"""Exports: every event once, in formats that other programs read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.adapters.parquet import _writer as parquet_writer
from headrace.adapters.parquet.export_format import ParquetFormat
from headrace.errors import Malformed, Overloaded, QueryTimeout
from headrace.kit.ids import format_id
from headrace.model.event import Party, StoredEvent
from headrace.model.query import EventFilter, Search
from headrace.query.export import TEXT_FORMATS, Export
from headrace.query.export_text import CSV_COLUMNS, CsvFormat
from headrace.query.render import event_json
from tests.support.events import newest_first, stored_event
from tests.unit.query.fakes import WHOLE, FakeEvents

FORMATS = {**TEXT_FORMATS, "parquet": ParquetFormat()}
MANY = [stored_event(seq, seq * 7_919 % 1_009) for seq in range(1, 1_001)]


async def export(events: FakeEvents, format: str = "ndjson", filter: EventFilter = EventFilter()) -> bytes:  # noqa: B008
    return b"".join([piece async for piece in Export(events, FORMATS).open(WHOLE, filter, format).chunks])


def seqs_of(ndjson: bytes) -> list[int]:
    return [int(json.loads(line)["message"].split()[1]) for line in ndjson.splitlines()]


async def test_ndjson_is_the_json_of_the_api_oldest_first() -> None:
    lines = (await export(FakeEvents(MANY))).split(b"\n")
    assert lines == [*(event_json(event, "app") for event in reversed(newest_first(MANY))), b""]


async def test_it_reads_by_pages_that_begin_behind_the_one_before() -> None:
    events = FakeEvents(MANY)
    await export(events)
    assert [search.limit for search in events.searches] == [100, 400, 1600]
    assert all(search.offset == 0 for search in events.searches)


async def test_pages_of_large_events_have_few_rows() -> None:
    events = FakeEvents([stored_event(seq, attributes='{"a":"' + "x" * 100_000 + '"}') for seq in range(1, 302)])
    await export(events)
    assert [search.limit for search in events.searches[1:]] == [41] * 5


async def test_a_filter_holds() -> None:
    found = await export(FakeEvents(MANY), filter=EventFilter(since=100, until=200))
    assert seqs_of(found) == [event.seq for event in reversed(newest_first(MANY)) if 100 <= event.time < 200]


async def test_events_stored_after_the_start_are_left_out() -> None:
    events = FakeEvents(MANY)
    pieces = []
    async for piece in Export(events, FORMATS).open(WHOLE, EventFilter(), "ndjson").chunks:
        pieces.append(piece)
        newest = max(event.seq for _, event in events.stored)
        events.add(stored_event(newest + 1, 1_000), stored_event(newest + 2, 10_000 + newest))
    assert sorted(seqs_of(b"".join(pieces))) == list(range(1, 1_001))


async def test_it_ends_while_events_arrive_faster_than_it_reads() -> None:
    class Flood(FakeEvents):
        async def search(self, search: Search) -> Sequence[StoredEvent]:
            assert len(self.searches) < 5
            newest = await self.last_seq(0)
            self.add(*[stored_event(seq, 10_000 + seq) for seq in range(newest + 1, newest + 2_500)])
            return await super().search(search)

    assert len(seqs_of(await export(Flood(MANY)))) == 1_000


async def test_a_busy_store_in_the_middle_is_asked_again() -> None:
    events = FakeEvents(MANY)
    pieces = []
    async for piece in Export(events, FORMATS).open(WHOLE, EventFilter(), "ndjson").chunks:
        events.failures[:] = [Overloaded("busy", retry_after=0), QueryTimeout("slow", retry_after=0)]
        pieces.append(piece)
    assert len(seqs_of(b"".join(pieces))) == 1_000


async def test_a_busy_store_at_the_start_is_told() -> None:
    events = FakeEvents(MANY)
    events.failures.append(Overloaded("busy"))
    with pytest.raises(Overloaded):
        await anext(Export(events, FORMATS).open(WHOLE, EventFilter(), "ndjson").chunks)


@pytest.mark.parametrize(
    ("format", "content_type", "file_name"),
    [
        ("ndjson", "application/x-ndjson", "headrace-app.ndjson"),
        ("csv", "text/csv; charset=utf-8; header=present", "headrace-app.csv"),
        ("parquet", "application/vnd.apache.parquet", "headrace-app.parquet"),
    ],
)
def test_each_format_has_its_content_type_and_file_name(format: str, content_type: str, file_name: str) -> None:
    made = Export(FakeEvents(), FORMATS).open(WHOLE, EventFilter(), format)
    assert (made.content_type, made.file_name) == (content_type, file_name)


@pytest.mark.parametrize("format", ["", "xml", "NDJSON", "../csv"])
def test_an_unknown_format_is_refused(format: str) -> None:
    with pytest.raises(Malformed) as caught:
        Export(FakeEvents(), FORMATS).open(WHOLE, EventFilter(), format)
    assert [item.field for item in caught.value.items] == ["format"]


FULL = StoredEvent(
    1, 0xABC << 100, 1_700_000_000_000_001, 1_700_000_000_000_002, 4, "api", "invoice.paid", Party("u1", "user", "Ada"),
    Party("i1"), "failure", 'He said "no",\r\nthen left', '{"n": 1.50, "s": "ü"}', "t", "s",
)  # fmt: skip


async def test_csv_has_a_header_and_every_field() -> None:
    text = (await export(FakeEvents([FULL]), "csv")).decode()
    assert text.split("\r\n", 1)[0] == ",".join(CSV_COLUMNS)
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row == {
        "id": format_id(FULL.id), "time": "2023-11-14T22:13:20.000001Z", "received_at": "2023-11-14T22:13:20.000002Z",
        "bucket": "app", "level": "error", "service": "api", "action": "invoice.paid", "actor_id": "u1",
        "actor_type": "user", "actor_name": "Ada", "target_id": "i1", "target_type": "", "target_name": "",
        "outcome": "failure", "message": 'He said "no",\r\nthen left', "trace_id": "t", "span_id": "s",
        "attributes": '{"n": 1.50, "s": "ü"}',
    }  # fmt: skip


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", '=cmd|" /C calc"!A0'])
async def test_a_cell_that_a_spreadsheet_would_run_is_neutralised(cell: str) -> None:
    party = Party(cell, cell, cell)
    event = stored_event(
        1, message=cell, service=cell, action=cell, actor=party, target=party, trace_id=cell, span_id=cell
    )
    (row,) = csv.DictReader(io.StringIO((await export(FakeEvents([event]), "csv")).decode(), newline=""))
    free = {"id", "time", "received_at", "bucket", "level", "outcome", "attributes"}
    assert {value for name, value in row.items() if name not in free} == {"'" + cell}


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1))
async def test_any_message_comes_back_from_csv(messages: list[str]) -> None:
    writer = CsvFormat().begin("app")
    piece = await writer.write([stored_event(seq, message=message) for seq, message in enumerate(messages)])
    rows = list(csv.DictReader(io.StringIO((piece + await writer.finish()).decode(), newline="")))
    assert [row["message"].removeprefix("'" if given[:1] in set("=+-@\t\r\n") else "") for row, given in
            zip(rows, messages, strict=True)] == messages  # fmt: skip


async def test_ndjson_stays_one_line_an_event_whatever_the_attributes_look_like() -> None:
    event = stored_event(1, attributes='{\r\n "a": 1\n}')
    lines = (await export(FakeEvents([event]))).splitlines()
    assert [json.loads(line)["attributes"] for line in lines] == [{"a": 1}]


async def test_parquet_has_every_field_with_its_type() -> None:
    table = pq.read_table(io.BytesIO(await export(FakeEvents([FULL, stored_event(2)]), "parquet")))
    assert str(table.schema.field("time").type) == "timestamp[us, tz=UTC]"
    least, full = table.to_pylist()
    assert set(full) == set(CSV_COLUMNS)
    assert full["id"] == format_id(FULL.id)
    assert (full["actor_name"], full["target_name"], full["level"]) == ("Ada", None, "error")
    assert (full["message"], full["attributes"]) == (FULL.message, FULL.attributes)
    assert full["received_at"].timestamp() == 1_700_000_000.000002
    assert {name for name, value in least.items() if value is not None} == {
        "id", "time", "received_at", "bucket", "level", "message",
    }  # fmt: skip


async def test_parquet_goes_out_in_row_groups_as_it_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_writer, "_GATHERED_ROWS", 100)
    monkeypatch.setattr(parquet_writer, "_GROUP_ROWS", 300)
    made = Export(FakeEvents(MANY), FORMATS).open(WHOLE, EventFilter(), "parquet")
    pieces = [piece async for piece in made.chunks]
    file = pq.ParquetFile(io.BytesIO(b"".join(pieces)))
    assert file.metadata.num_row_groups > 1
    assert len(pieces) >= file.metadata.num_row_groups
    assert [row["message"] for row in file.read(["message"]).to_pylist()] == [
        event.message for event in reversed(newest_first(MANY))
    ]


@pytest.mark.parametrize(("format", "size"), [("ndjson", 0), ("csv", 1)])
async def test_an_export_of_nothing_is_a_valid_text(format: str, size: int) -> None:
    assert len((await export(FakeEvents(), format)).splitlines()) == size


async def test_an_export_of_nothing_is_valid_parquet() -> None:
    table = pq.read_table(io.BytesIO(await export(FakeEvents(), "parquet")))
    assert (table.num_rows, set(table.column_names)) == (0, set(CSV_COLUMNS))
