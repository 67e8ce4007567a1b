"""What is found in real lines of many programs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from headrace.cli.sending.text_lines import LogLines

_MODIFIED = datetime(2026, 11, 20, 20, tzinfo=UTC).timestamp()
_NOON = "2026-11-20T12:00:00"
_SAMPLES = Path(__file__).parents[2] / "samples" / "log_lines.txt"


def _samples() -> list[tuple[str, str, str | None, str | None, str]]:
    """(name, line, time, level, message) of each block of the file."""
    blocks = [block.split("\n") for block in _SAMPLES.read_text(encoding="utf-8").split("\n\n")[1:]]
    return [
        (name, line, _unless(time), _unless(level), line if message == "=" else message)
        for name, line, time, level, message in (block[:5] for block in blocks)
    ]


def _unless(text: str) -> str | None:
    return None if text == "-" else text


LINES = _samples()


@pytest.mark.parametrize(
    ("line", "time", "level", "message"), [one[1:] for one in LINES], ids=[one[0] for one in LINES]
)
def test_time_level_and_message_are_found(line: str, time: str | None, level: str | None, message: str) -> None:
    assert LogLines(_MODIFIED, UTC).read(line) == (time, level, message)


def test_lines_of_different_programs_in_one_stream_are_each_understood() -> None:
    lines = LogLines(_MODIFIED, UTC)
    for _, line, time, level, _ in LINES:
        found = lines.read(line)
        assert (found.time if time else None, found.level) == (time, level), line


def test_a_time_without_zone_is_local() -> None:
    lines = LogLines(_MODIFIED, timezone(timedelta(hours=2)))
    assert lines.read("2026-11-20 14:00:00 x").time == f"{_NOON}Z"


def test_the_lines_of_a_traceback_have_the_time_of_the_line_before() -> None:
    lines = LogLines(_MODIFIED, UTC)
    lines.read("2026-11-20 12:00:00,123 ERROR app: failed")
    assert lines.read('  File "x.py", line 1, in <module>') == (
        f"{_NOON}.123Z",
        None,
        '  File "x.py", line 1, in <module>',
    )


def test_a_29th_of_february_without_year_is_of_the_last_leap_year() -> None:
    assert LogLines(_MODIFIED, UTC).read("Feb 29 12:00:00 host x: y").time == "2024-02-29T12:00:00Z"
