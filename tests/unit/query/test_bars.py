"""Widths and gaps of a histogram."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import Malformed
from headrace.kit.times import DAY, HOUR, MINUTE, SECOND
from headrace.model.query import HistogramBar
from headrace.query.bars import auto_interval, check_bars, count_bars, fill, parse_interval

END_OF_TIME = 9_214_646_400_000_000


@pytest.mark.parametrize(
    ("text", "interval"),
    [("1s", SECOND), ("90", 90 * SECOND), ("5m", 5 * MINUTE), ("24h", DAY), ("1d", DAY), ("auto", None)],
)
def test_intervals_are_durations(text: str, interval: int | None) -> None:
    assert parse_interval(text) == interval


@pytest.mark.parametrize("text", ["", "0s", "500ms", "1.5s", "2d", "25h", "-1m", "1y", "auto ", "9" * 400])
def test_other_intervals_are_refused(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_interval(text)
    assert [item.field for item in caught.value.items] == ["interval"]


@pytest.mark.parametrize(
    ("span", "interval"),
    [(1, SECOND), (MINUTE, SECOND), (HOUR, 30 * SECOND), (DAY, 15 * MINUTE), (7 * DAY, 2 * HOUR), (30 * DAY, 6 * HOUR)],
)
def test_auto_picks_a_width_that_clocks_show(span: int, interval: int) -> None:
    assert auto_interval(1_790_000_000 * SECOND, 1_790_000_000 * SECOND + span) == interval


@given(st.integers(0, END_OF_TIME), st.integers(1, END_OF_TIME))
def test_auto_makes_a_chart_of_about_60_to_120_bars(since: int, span: int) -> None:
    until = min(since + span, END_OF_TIME)
    bars = count_bars(since, until, auto_interval(since, until))
    assert bars <= 121
    assert bars >= 47 or until - since < 2 * MINUTE


@given(st.integers(0, 10**9), st.integers(0, 10**7), st.sampled_from([SECOND, 7 * SECOND]))
def test_bars_cover_the_span_without_a_gap(since: int, span: int, interval: int) -> None:
    bars = fill([], since, since + span, interval)
    assert len(bars) == count_bars(since, since + span, interval)
    assert all(second.time - first.time == interval for first, second in pairwise(bars))
    if span:
        assert bars[0].time <= since < bars[0].time + interval
        assert bars[-1].time < since + span <= bars[-1].time + interval


def test_bars_that_are_known_keep_their_counts_and_groups() -> None:
    known = HistogramBar(2 * SECOND, 5, (("info", 5),))
    assert fill([known], SECOND, 4 * SECOND, SECOND) == [HistogramBar(SECOND, 0), known, HistogramBar(3 * SECOND, 0)]


def test_a_span_that_ends_before_it_begins_has_no_bars() -> None:
    assert fill([], 5 * SECOND, 2 * SECOND, SECOND) == []


def test_two_thousand_bars_are_the_most() -> None:
    check_bars(0, 2_000 * SECOND, SECOND)
    with pytest.raises(Malformed, match="2,001 intervals of 1s"):
        check_bars(0, 2_000 * SECOND + 1, SECOND)
