"""The times of log lines: what each common format looks like, and the UTC time that it means.

A format is a regular expression at the start of the line (of `audit` and `logfmt`: within it). Times without a zone
are in the zone of the machine, or in UTC on request; times without a year lie within the year before the file's last
change. Ambiguous ones (01/02/2026) are not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import NamedTuple

from headrace.cli.sending.levels import known_level
from headrace.kit.times import EARLIEST, LATEST

_MONTH = r"(?P<M>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DAY_NAME = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_FRACTION = r"(?:[.,](?P<F>\d{1,9}))?"
_CLOCK = rf"(?P<T>\d\d:\d\d:\d\d){_FRACTION}"
_EPOCH = r"(?P<E>\d{10}(?:\.\d{1,9})?|\d{13}|\d{16}|\d{19})"
_ZONE = r"(?:\s?(?P<Z>Z\b|UTC\b|GMT\b|[+-]\d\d:?\d\d\b)|(?P<Zh>[+-]\d\d\b))?"
_END = r"[\])]?(?=[\s|,:;\]#-]|$)[\s|,:;-]*"
_ISO = rf"(?P<Y>\d{{4}})[-/.](?P<M>\d\d)[-/.](?P<D>\d\d)[T _]\s?{_CLOCK}{_ZONE}"
_WORD_LEVEL = r"[\[(<]?(?P<L>[A-Za-z]{3,11})[\])>]?[\s:,|-]+"
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_RUBY_OR_KLOG = {"D": "debug", "I": "info", "W": "warning", "E": "error", "F": "critical", "A": "info", "V": "trace"}
_REDIS = {".": "debug", "-": "info", "*": "info", "#": "warning"}
_SLACK = timedelta(days=1)  # a clock ahead of ours, or a zone: still this year's line


class Stamp(NamedTuple):
    """What a line says of its time (RFC 3339 in UTC) and, where the format has a place for it, of its level.

    The message is the line without them, unless that would leave nothing or they stand amid it.
    """

    time: str
    level: str | None
    message: str


class _Shape(NamedTuple):
    """`second` names the groups that say which second it is; `has` all groups."""

    pattern: re.Pattern[str]
    has: frozenset[str]
    second: tuple[str, ...]
    levels: dict[str, str] | None = None
    keeps_line: bool = False
    searches: bool = False


def _shape(
    pattern: str, levels: dict[str, str] | None = None, *, keeps_line: bool = False, searches: bool = False
) -> _Shape:
    compiled = re.compile(pattern)
    has = frozenset(compiled.groupindex)
    second = tuple(name for name in ("Y", "M", "D", "T", "Z", "Zh") if name in has)
    return _Shape(compiled, has, second, levels, keeps_line, searches)


_SHAPES = (
    # 2026-11-20 12:00:00,123 - ISO in all its spellings: dpkg, Python, RFC 5424, journald, nginx errors, Go, PostgreSQL
    _shape(rf"[\[(]?(?:{_DAY_NAME} )?{_ISO}{_END}"),
    # 20261120T120000Z, 20261120 12:00:00
    _shape(rf"[\[(]?(?P<Y>\d{{4}})(?P<M>[01]\d)(?P<D>[0-3]\d)[T ](?P<T>\d\d:?\d\d:?\d\d){_FRACTION}{_ZONE}{_END}"),
    # Nov 20 12:00:00 host prog[1]: syslog (RFC 3164) and journald; some add a fraction or a year
    _shape(rf"{_MONTH} {{1,2}}(?P<D>\d{{1,2}}) (?:(?P<Y>\d{{4}}) )?{_CLOCK}{_END}"),
    # [Fri Nov 20 12:00:00.123456 2026] - Apache errors, dmesg -T, asctime
    _shape(rf"\[?{_DAY_NAME} {_MONTH} {{1,2}}(?P<D>\d{{1,2}}) {_CLOCK} (?:[A-Z]{{3,4}} )?(?P<Y>\d{{4}}){_END}"),
    # 20-Nov-2026 12:00:00.123, Fri, 20 Nov 2026 12:00:00 +0000 - Tomcat, bind, log4j, RFC 2822
    _shape(rf"\[?(?:{_DAY_NAME},? )?(?P<D>\d{{1,2}})[ /-]{_MONTH}[ /-](?P<Y>\d{{4}})[ :T]{_CLOCK}{_ZONE}{_END}"),
    # 1.2.3.4 - ada [20/Nov/2026:12:00:00 +0000] "GET / HTTP/1.1" 200 - Apache and nginx, common and combined
    _shape(rf"(?P<head>\S+ \S+ [^\[\"]{{1,256}}?)\[(?P<D>\d\d)/{_MONTH}/(?P<Y>\d{{4}}):{_CLOCK}{_ZONE}\]\s*"),
    # I1120 12:00:00.123456    1 file.go:1] - klog and glog, which may write the year
    _shape(rf"(?P<L>[IWEF])(?P<Y>\d{{4}})?(?P<M>[01]\d)(?P<D>[0-3]\d) {_CLOCK}\s+", _RUBY_OR_KLOG),
    # 11-20 12:00:00.123  1234  5678 E Tag: Android
    _shape(rf"(?P<M>[01]\d)-(?P<D>[0-3]\d) {_CLOCK} +\d+ +\d+ (?P<L>[VDIWEFA]) ", _RUBY_OR_KLOG),
    # I, [2026-11-20T12:00:00.123456 #123]  INFO -- : Ruby
    _shape(rf"(?P<L>[DIWEFA]), \[{_ISO}(?: #\d+)?\]\s+[A-Z]+ -- (?:: )?", _RUBY_OR_KLOG),
    # 123:M 20 Nov 2026 12:00:00.123 * Ready - Redis
    _shape(rf"\d+:[A-Z] (?P<D>\d\d) {_MONTH} (?P<Y>\d{{4}}) {_CLOCK} (?P<L>[.*#-]) ", _REDIS),
    # 1763640000.123 - squid and others: seconds, milliseconds, microseconds or nanoseconds since 1970
    _shape(rf"[\[(]?{_EPOCH}{_END}"),
    # ERROR 2026-11-20 12:00:00,123 module: Django and others with the level in front
    _shape(rf"{_WORD_LEVEL}{_ISO}{_END}"),
    # type=SYSCALL msg=audit(1763640000.123:456): Linux audit
    _shape(r"type=\S+ msg=audit\((?P<E>\d{10}\.\d{3}):\d+\)", keeps_line=True),
    # ts=2026-11-20T12:00:00Z level=info msg="…" - logfmt
    _shape(
        rf"(?:^|\s)(?:ts|time|timestamp|t|at)=\"?(?:{_ISO}|{_EPOCH}(?=[\s\"]|$))", keeps_line=True, searches=True
    ),
)


class Clocks:
    """Finds the times of the lines of one source. `reference` (aware) is when its last line may have been written."""

    def __init__(self, reference: datetime, zone: tzinfo | None = None) -> None:
        self._reference = reference
        self._zone = zone
        self._seconds: dict[tuple[str | None, ...], str] = {}
        self._latest = _SHAPES[0]

    def find(self, line: str) -> Stamp | None:
        """The time of a line, or None. The format of the line before is tried first: files rarely change theirs."""
        if stamp := self._try(self._latest, line):
            return stamp
        for shape in _SHAPES:
            if shape is not self._latest and (stamp := self._try(shape, line)):
                self._latest = shape
                return stamp
        return None

    def _try(self, shape: _Shape, line: str) -> Stamp | None:
        match = shape.pattern.search(line, 0, 400) if shape.searches else shape.pattern.match(line)
        if match is None:
            return None
        time = self._time(shape, match)
        if time is None:
            return None
        if shape.keeps_line:
            return Stamp(time, None, line)
        rest = line[match.end() :]
        if "head" in shape.has:
            return Stamp(time, None, match["head"] + rest)
        if "L" not in shape.has:
            return Stamp(time, None, rest)
        level = shape.levels[match["L"]] if shape.levels else known_level(match["L"])
        return Stamp(time, level, rest if level else f"{line[: match.start('Y')]}{rest}")

    def _time(self, shape: _Shape, match: re.Match[str]) -> str | None:
        has = shape.has
        try:
            if "E" in has and (epoch := match["E"]):
                return _of_epoch(epoch)
            key = match.group(*shape.second)  # equal keys of two shapes mean the same
            second = self._seconds.get(key) or self._remember(key, dict(zip(shape.second, key, strict=True)))
        except (ValueError, OverflowError):  # the 31st of February, the year 0001
            return None
        fraction = match["F"] if "F" in has else None
        return f"{second}.{fraction[:6]}Z" if fraction else second + "Z"

    def _remember(self, key: tuple[str | None, ...], found: dict[str, str]) -> str:
        if len(self._seconds) > 10_000:  # lines come within minutes of each other; this is hours
            self._seconds.clear()
        text = self._utc(found.get("Y"), found["M"], found["D"], found["T"], found.get("Z") or found.get("Zh"))
        self._seconds[key] = text
        return text

    def _utc(self, year: str | None, month: str, day: str, clock: str, zone: str | None) -> str:
        digits = clock.replace(":", "")
        second = min(int(digits[4:6]), 59)  # a leap second
        number = int(month) if month.isdigit() else _MONTHS.index(month) + 1

        def aware(in_year: int) -> datetime:
            naive = datetime(in_year, number, int(day), int(digits[:2]), int(digits[2:4]), second)  # noqa: DTZ001 - next line
            return naive.replace(tzinfo=_offset(zone)) if zone else self._localized(naive)

        moment = (aware(int(year)) if year else self._in_last_year(aware)).astimezone(UTC)
        if not EARLIEST <= moment < LATEST:
            raise ValueError("outside of what can be stored")
        return moment.strftime("%Y-%m-%dT%H:%M:%S")

    def _localized(self, naive: datetime) -> datetime:
        return naive.replace(tzinfo=self._zone) if self._zone else naive.astimezone()

    def _in_last_year(self, aware: Callable[[int], datetime]) -> datetime:
        latest = self._reference + _SLACK
        for year in range(latest.year, latest.year - 9, -1):  # 29 February: up to 8 years back
            try:
                moment = aware(year)
            except ValueError:
                continue
            if moment <= latest:
                return moment
        raise ValueError("no such day")


def _offset(zone: str) -> tzinfo:
    if zone[0] not in "+-":
        return UTC
    digits = zone[1:].replace(":", "")
    delta = timedelta(hours=int(digits[:2]), minutes=int(digits[2:4] or 0))
    return timezone(-delta if zone[0] == "-" else delta)


def _of_epoch(text: str) -> str:
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    seconds, rest = int(digits[:10]), digits[10:16]
    stamp = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{stamp}.{rest}Z" if rest else stamp + "Z"
