"""How wide the bars of a histogram are, and the empty ones between those that the store knows."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.errors import ItemError, Malformed
from headrace.kit.times import DAY, HOUR, MINUTE, SECOND, format_duration, parse_duration
from headrace.model.query import HistogramBar

AUTO = "auto"
MAX_BARS = 2_000
_MOST_AUTO = 120  # about as many as a chart shows well; each width is at most 2.5 times the one before: 48 at least

_WIDTHS = (
    *(SECOND * n for n in (1, 2, 5, 10, 15, 30)),
    *(MINUTE * n for n in (1, 2, 5, 10, 15, 30)),
    *(HOUR * n for n in (1, 2, 3, 6, 12)),
    *(DAY * n for n in (1, 2, 4, 7, 14, 30, 60, 120, 240, 480, 960)),  # the last: all the time that events can have
)


def parse_interval(text: str) -> int | None:
    """µs of `1s` to `1d`, whole seconds; None for `auto`. Raises Malformed."""
    if text == AUTO:
        return None
    try:
        interval = parse_duration(text)
    except ValueError as exc:
        raise _bad(str(exc)) from exc
    if not SECOND <= interval <= DAY or interval % SECOND:
        raise _bad(f"{text[:64]!r} is not auto or whole seconds from 1s to 1d")
    return interval


def auto_interval(since: int, until: int) -> int:
    """A width of a kind that clocks show, with about 60 to 120 bars in [since, until), fewer under a minute (µs)."""
    return next((width for width in _WIDTHS if until - since <= _MOST_AUTO * width), _WIDTHS[-1])


def count_bars(since: int, until: int, interval: int) -> int:
    """How many intervals, aligned to 1970, [since, until) touches."""
    return (until - 1) // interval - since // interval + 1 if until > since else 0


def check_bars(since: int, until: int, interval: int) -> None:
    """Raises Malformed when there are too many."""
    count = count_bars(since, until, interval)
    if count > MAX_BARS:
        wider = format_duration(auto_interval(since, until))
        raise _bad(
            f"{count:,} intervals of {format_duration(interval)}, where {MAX_BARS:,} are the most: "
            f"ask for a shorter time or for wider intervals (auto would be {wider})"
        )


def fill(bars: Sequence[HistogramBar], since: int, until: int, interval: int) -> list[HistogramBar]:
    """Every bar from the one that holds `since` to the one before `until`, empty where nothing happened."""
    known = {bar.time: bar for bar in bars}
    first = since // interval * interval
    times = range(first, first + count_bars(since, until, interval) * interval, interval)
    return [known.get(time) or HistogramBar(time, 0) for time in times]


def _bad(reason: str) -> Malformed:
    item = ItemError("bad-interval", reason, field="interval")
    return Malformed(f"The interval is not good: {reason}.", items=[item])
