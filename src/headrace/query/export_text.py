"""Exports as text: NDJSON, the same JSON as everywhere, and CSV that no spreadsheet runs."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO

from headrace.kit.ids import format_id
from headrace.model.event import LEVELS, Party, StoredEvent
from headrace.query.render import event_json, time_text

CSV_COLUMNS = (
    "id", "time", "received_at", "bucket", "level", "service", "action",
    "actor_id", "actor_type", "actor_name", "target_id", "target_type", "target_name",
    "outcome", "message", "trace_id", "span_id", "attributes",
)  # fmt: skip

_RUN_BY_SPREADSHEETS = frozenset("=+-@\t\r\n")  # as the first character of a cell (OWASP, "CSV injection")
_NOBODY = Party("")


class NdjsonFormat:
    """One JSON object a line, as in the answers of the API."""

    content_type = "application/x-ndjson"
    extension = "ndjson"

    def begin(self, bucket: str) -> NdjsonWriter:
        return NdjsonWriter(bucket)


class NdjsonWriter:
    def __init__(self, bucket: str) -> None:
        self._bucket = bucket

    async def write(self, events: Sequence[StoredEvent]) -> bytes:
        lines = [_on_one_line(event_json(event, self._bucket)) for event in events]
        return b"\n".join([*lines, b""])

    async def finish(self) -> bytes:
        return b""


class CsvFormat:
    """RFC 4180 with a header row; absent fields are empty cells, and attributes their JSON."""

    content_type = "text/csv; charset=utf-8; header=present"
    extension = "csv"

    def begin(self, bucket: str) -> CsvWriter:
        return CsvWriter(bucket)


class CsvWriter:
    def __init__(self, bucket: str) -> None:
        self._bucket = _harmless(bucket)
        self._text = StringIO()
        self._rows = csv.writer(self._text, lineterminator="\r\n")
        self._rows.writerow(CSV_COLUMNS)

    async def write(self, events: Sequence[StoredEvent]) -> bytes:
        self._rows.writerows([self._row(event) for event in events])
        return self._taken()

    async def finish(self) -> bytes:
        return self._taken()

    def _row(self, event: StoredEvent) -> list[str | None]:
        actor, target = event.actor or _NOBODY, event.target or _NOBODY
        return [
            format_id(event.id),
            time_text(event.time),
            time_text(event.received_at),
            self._bucket,
            LEVELS[event.level],
            _harmless(event.service),
            _harmless(event.action),
            _harmless(actor.id),
            _harmless(actor.type),
            _harmless(actor.name),
            _harmless(target.id),
            _harmless(target.type),
            _harmless(target.name),
            event.outcome,
            _harmless(event.message),
            _harmless(event.trace_id),
            _harmless(event.span_id),
            event.attributes,  # begins with a brace
        ]

    def _taken(self) -> bytes:
        piece = self._text.getvalue().encode()
        self._text.seek(0)
        self._text.truncate()
        return piece


def _harmless(cell: str | None) -> str | None:
    """Text that a spreadsheet shows instead of running: the apostrophe tells it so."""
    return f"'{cell}" if cell and cell[0] in _RUN_BY_SPREADSHEETS else cell


def _on_one_line(json: bytes) -> bytes:
    """Attributes are verbatim; where they were sent over several lines, a space is as good as a line break."""
    return json.replace(b"\r", b" ").replace(b"\n", b" ") if b"\n" in json or b"\r" in json else json
