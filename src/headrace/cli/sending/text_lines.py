"""A plain line of a log as an event: its time, its level, and the rest of it as the message."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

from headrace.cli.sending.clocks import Clocks
from headrace.cli.sending.levels import find_level, status_level, syslog_level

_PRIORITY = re.compile(r"<(\d{1,3})>(?:1 (?:- )?)?")
_REQUEST = re.compile(r'"(?:[A-Z]{3,10} |-" )')


class LogLine(NamedTuple):
    """`time` is RFC 3339 in UTC; both are None where the line does not say."""

    time: str | None
    level: str | None
    message: str


class LogLines:
    """Reads the lines of one source, in order.

    A line without a time that follows one with a time (the lines of a traceback) has the time of that one.
    """

    def __init__(self, modified: float | None = None, zone: tzinfo | None = None) -> None:
        reference = datetime.now(UTC) if modified is None else datetime.fromtimestamp(modified, UTC)
        self._clocks = Clocks(reference, zone)
        self._time: str | None = None

    def read(self, line: str) -> LogLine:
        """What a line says. Its message is never empty, unless the line is."""
        level, text = _priority(line) if line[:1] == "<" else (None, line)
        stamp = self._clocks.find(text)
        if stamp:
            self._time = stamp.time
            level, text = level or stamp.level, stamp.message
        if level is None:
            level, text = _level(text)
        return LogLine(self._time, level, text if text.strip() else line)


def _priority(line: str) -> tuple[str | None, str]:
    match = _PRIORITY.match(line)
    if match is None or int(match[1]) > 191:
        return None, line
    return syslog_level(int(match[1])), line[match.end() :]


def _level(text: str) -> tuple[str | None, str]:
    if '" ' in text and _REQUEST.search(text) and (level := status_level(text)):
        return level, text
    return find_level(text)
