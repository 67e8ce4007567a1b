"""Query parameters become a filter, or an error that names the parameter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import Malformed
from headrace.kit.times import DAY, HOUR, MINUTE, SECOND, format_time, parse_time
from headrace.model.event import LEVEL_NAMES, LEVELS
from headrace.model.query import EVERYTHING, ActionMatch, AttributeMatch, EventFilter, Word
from headrace.query.filters import is_filter_param, parse_filter

NOW = 1_790_000_000 * SECOND
END_OF_TIME = parse_time("2262-01-01T00:00:00Z")


def parse(*params: tuple[str, str]) -> EventFilter:
    return parse_filter(params, NOW)


def test_no_parameters_are_no_condition() -> None:
    assert parse() == EVERYTHING


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("since", "2026-09-21T14:13:20Z", EventFilter(since=1_790_000_000 * SECOND)),
        ("since", "2026-09-21T16:13:20.5+02:00", EventFilter(since=1_790_000_000 * SECOND + 500_000)),
        ("since", "2026-09-21T16:13:20 02:00", EventFilter(since=1_790_000_000 * SECOND)),
        ("since", "1790000000", EventFilter(since=1_790_000_000 * SECOND)),
        ("since", "1790000000123", EventFilter(since=1_790_000_000 * SECOND + 123_000)),
        ("since", "15m", EventFilter(since=NOW - 15 * MINUTE)),
        ("until", "24h", EventFilter(until=NOW - DAY)),
        ("until", "1.5h", EventFilter(until=NOW - HOUR * 3 // 2)),
        ("level", "WARN", EventFilter(levels=(3,))),
        ("level", "Emergency", EventFilter(levels=(5,))),
        ("min_level", "err", EventFilter(min_level=4)),
        ("service", "api", EventFilter(services=("api",))),
        ("action", "invoice.paid", EventFilter(actions=(ActionMatch("invoice.paid"),))),
        ("action", "invoice.*", EventFilter(actions=(ActionMatch("invoice.", prefix=True),))),
        ("action", "inv*", EventFilter(actions=(ActionMatch("inv", prefix=True),))),
        ("actor", "", EventFilter(actors=("",))),
        ("actor", "o'brien; DROP TABLE %_", EventFilter(actors=("o'brien; DROP TABLE %_",))),
        ("target", "inv-1", EventFilter(targets=("inv-1",))),
        ("outcome", "Failure", EventFilter(outcomes=("failure",))),
        ("trace_id", "4bf9", EventFilter(trace_ids=("4bf9",))),
        ("q", 'paid -"card x"', EventFilter(texts=((Word("paid"), Word("card x", negated=True)),))),
        ("q", "", EVERYTHING),
        ("q", "two\tlines\n\x1b[31m", EventFilter(texts=((Word("two"), Word("lines"), Word("\x1b[31m")),))),
        ("attr.a.b", "1", EventFilter(attributes=(AttributeMatch("a.b", ("1",)),))),
        ("attr.$[*]", "x", EventFilter(attributes=(AttributeMatch("$[*]", ("x",)),))),
    ],
)  # fmt: skip
def test_each_parameter_has_its_meaning(name: str, value: str, expected: EventFilter) -> None:
    assert parse((name, value)) == expected


def test_a_repeated_parameter_means_any_of_its_values() -> None:
    found = parse(
        ("service", "a"), ("level", "info"), ("service", "b"), ("service", "a"), ("attr.x", "1"), ("attr.x", "2"),
        ("q", "one"), ("q", ""), ("q", "two"), ("level", "error"),
    )  # fmt: skip
    assert found == EventFilter(
        services=("a", "b"),
        levels=(2, 4),
        texts=((Word("one"),), (Word("two"),)),
        attributes=(AttributeMatch("x", ("1", "2")),),
    )


def test_repeated_bounds_reach_as_far_as_any_of_them() -> None:
    times = [("since", "1h"), ("since", "3h"), ("until", "1m"), ("until", "2m")]
    levels = [("min_level", "error"), ("min_level", "info")]
    assert parse(*times, *levels) == EventFilter(since=NOW - 3 * HOUR, until=NOW - MINUTE, min_level=2)


@pytest.mark.parametrize("age", ["99999d", "999999999999w"])
def test_an_age_beyond_all_time_is_everything(age: str) -> None:
    assert parse(("since", age)).since is None
    assert parse(("until", age)).until == 0


def test_times_are_kept_within_what_events_can_have() -> None:
    assert parse(("until", "2300-01-01T00:00:00Z")) == EVERYTHING
    assert parse(("since", "-5")) == EVERYTHING
    assert parse(("since", "9999-12-31T23:59:59Z")).since == END_OF_TIME


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("since", ""), ("since", "yesterday"), ("since", "2026-09-21T14:13:20"), ("since", "nan"), ("since", "1e999"),
        ("since", "1..2s"), ("since", "1" * 500), ("until", "15 m"), ("since", "2026-13-01T00:00:00Z"),
        ("level", "loud"), ("level", ""), ("min_level", "7"), ("outcome", "maybe"), ("outcome", ""),
        ("service", "a\0b"), ("service", "\ud800"), ("q", "x\0"), ("attr.", "x"), ("attr.a\0", "x"),
        ("service", "x" * 1_025), ("q", "é" * 513), ("attr." + "x" * 257, "1"), ("q", " ".join(map(str, range(33)))),
        ("attr.\udfff", "x"), ("nonsense", "1"), ("Level", "info"), ("attr", "x"), ("bucket", "x"),
    ],
)  # fmt: skip
def test_a_bad_value_is_an_error_that_names_its_parameter(name: str, value: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(("actor", "fine"), (name, value))
    assert [item.field for item in caught.value.items] == [name[:256]]


def test_every_bad_parameter_is_named_at_once() -> None:
    with pytest.raises(Malformed) as caught:
        parse(("level", "loud"), ("since", "soon"), ("actor", "fine"))
    assert [item.field for item in caught.value.items] == ["level", "since"]


def test_values_and_attributes_are_limited_in_number() -> None:
    parse(*[("actor", str(number)) for number in range(100)])
    with pytest.raises(Malformed):
        parse(*[("actor", str(number)) for number in range(101)])
    with pytest.raises(Malformed):
        parse(*[(f"attr.{number}", "x") for number in range(21)])


def test_it_knows_which_parameters_are_filters() -> None:
    assert all(map(is_filter_param, ["since", "q", "attr.a.b", "trace_id"]))
    assert not any(map(is_filter_param, ["limit", "cursor", "attribute", ""]))


def test_every_spelling_of_a_level_is_lower_case_and_leads_to_a_level() -> None:
    for name, level in LEVEL_NAMES.items():
        assert parse(("level", name.upper())).levels == (level,)
        assert name == name.lower()
    assert [LEVEL_NAMES[level] for level in LEVELS] == list(range(6))


@given(st.lists(st.tuples(st.sampled_from(["since", "until", "level", "q", "action", "attr.x", "outcome"]), st.text())))
def test_any_text_is_understood_or_refused(params: list[tuple[str, str]]) -> None:
    try:
        found = parse(*params)
    except Malformed:
        return
    assert all(time is None or 0 <= time <= END_OF_TIME for time in (found.since, found.until))


@given(st.integers(1, END_OF_TIME))
def test_a_time_as_we_write_it_is_that_time(time: int) -> None:
    assert parse(("since", format_time(time))).since == time
