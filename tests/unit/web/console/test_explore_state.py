"""The state of the Explore page is its link, and every way to another state is a link too."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest

from headrace.query.text import parse_text
from headrace.web.console.pages.explore.changes import changed
from headrace.web.console.pages.explore.state import DEFAULT_COLUMNS, State, read_state, term_of


def state_of(query: str) -> State:
    state, problems = read_state("default", parse_qsl(query, keep_blank_values=True))
    assert not problems
    return state


def pairs_in(link: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(link).query)


def test_a_link_holds_the_whole_state() -> None:
    query = "since=24h&level=error&level=critical&attr.a%20b=%26%3D&q=one+-two&columns=time%2Cattr.ip&order=asc"
    assert state_of(state_of(query).query()) == state_of(query)
    assert pairs_in(state_of(query).link()) == parse_qsl(query)


def test_what_is_as_usual_is_left_out() -> None:
    assert state_of("order=desc&columns=" + ",".join(DEFAULT_COLUMNS)).link() == "/explore/default"


def test_blank_fields_of_forms_ask_for_nothing() -> None:
    assert state_of("q=&service=++&level=").pairs == ()


def test_a_misspelt_filter_is_told_and_kept() -> None:
    state, problems = read_state("default", [("servcie", "billing")])
    assert [item.field for item in problems] == ["servcie"]
    assert state.pairs == (("servcie", "billing"),)


def test_a_filter_with_one_value_is_replaced_and_others_add_up() -> None:
    state = state_of("min_level=info&service=a")
    assert state.adding("min_level", "error").values("min_level") == ("error",)
    assert state.adding("service", "b").values("service") == ("a", "b")
    assert state.adding("service", "a") == state


def test_one_value_or_the_whole_filter_is_removed() -> None:
    state = state_of("service=a&service=b&level=error")
    assert state.removing("service", "a").values("service") == ("b",)
    assert state.removing("service").pairs == (("level", "error"),)


@pytest.mark.parametrize(
    ("query", "pressed"), [("", "all"), ("since=1h", "1h"), ("since=2h", None), ("since=1h&until=5m", None)]
)
def test_the_button_of_a_quick_range_is_pressed(query: str, pressed: str | None) -> None:
    assert state_of(query).quick_range == pressed


def test_filtering_out_holds_for_every_text() -> None:
    assert state_of("q=a&q=b").requiring("-c").values("q") == ("a -c", "b -c")
    assert state_of("").requiring("-c").values("q") == ("-c",)


@pytest.mark.parametrize("value", ["plain", "two words", "-minus", "100%_*", 'in"side', "ünï", "\x1b[31m"])
@pytest.mark.parametrize("without", [False, True])
def test_a_term_means_the_value_and_nothing_else(value: str, without: bool) -> None:
    term = term_of(value, without=without)
    assert term is not None
    (word,) = parse_text(term)
    assert (word.text, word.negated) == (value, without)


@pytest.mark.parametrize("value", ["", "  ", "\0", 'a "b', '"quoted', "x" * 2_000])
def test_what_the_language_cannot_say_is_not_offered(value: str) -> None:
    assert term_of(value) is None


def test_a_form_adds_a_filter_and_an_unknown_field_is_an_attribute() -> None:
    assert changed(State("b"), [("field", "service"), ("value", " billing ")]).pairs == (("service", "billing"),)
    assert changed(State("b"), [("field", "ip"), ("value", "::1")]).pairs == (("attr.ip", "::1"),)


def test_a_form_sets_times_by_the_clock_of_the_script_or_else_in_utc() -> None:
    local = [("from", "2026-11-20T12:00"), ("to", ""), ("since", ""), ("until", "")]
    assert changed(State("b"), local).pairs == (("since", "2026-11-20T12:00Z"),)
    exact = [("from", "2026-11-20T12:00"), ("since", "2026-11-20T11:00:00Z"), ("until", "")]
    assert changed(State("b"), exact).pairs == (("since", "2026-11-20T11:00:00Z"),)


def test_a_form_chooses_columns_and_no_box_means_the_usual_ones() -> None:
    chosen = [("columns", ""), ("column", "time"), ("column", "no such"), ("more", "ip, attr.a.b")]
    assert changed(State("b"), chosen).columns == ("time", "attr.ip", "attr.a.b")
    assert changed(State("b"), [("columns", ""), ("more", "")]).columns == DEFAULT_COLUMNS
