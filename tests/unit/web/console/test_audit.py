"""What the address of the audit page asks for."""

from __future__ import annotations

import pytest

from headrace.errors import Malformed
from headrace.web.console.pages.audit.asked import Asked, read


def test_blank_fields_of_the_form_ask_for_nothing() -> None:
    asked = read("default", [("actor", ""), ("action", "invoice.*"), ("from", " "), ("cursor", "")])
    assert asked == Asked("default", (("action", "invoice.*"),))
    assert asked.filters() == ([("action", "invoice.*")], [])


def test_a_filter_that_there_is_not_does_not_widen_the_search() -> None:
    with pytest.raises(Malformed):
        read("default", [("acter", "ada")])


def test_days_are_of_utc_and_the_last_one_is_in() -> None:
    asked = read("default", [("from", "2026-11-19"), ("to", "2026-11-20"), ("since", "7d")])
    expected = [("since", "2026-11-19T00:00:00Z"), ("until", "2026-11-21T00:00:00Z")]
    assert asked.filters() == (expected, [])
    assert asked.exported("csv").endswith(
        "?since=2026-11-19T00%3A00%3A00Z&until=2026-11-21T00%3A00%3A00Z&format=csv"
    )


@pytest.mark.parametrize("day", ["soon", "2026-02-30", "9999-12-31", "2026-11-20T00:00"])
def test_what_is_no_day_is_said_to_be_none(day: str) -> None:
    _, wrong = read("default", [("to", day)]).filters()
    assert [item.field for item in wrong] == ["to"]


def test_one_filter_replaces_another_and_begins_at_the_first_page() -> None:
    asked = read("a b", [("actor", "ada"), ("q", "x&y"), ("cursor", "c")])
    assert asked.link(cursor="c") == "/audit/a%20b?actor=ada&q=x%26y&cursor=c"
    assert asked.having("actor", "bob").link() == "/audit/a%20b?q=x%26y&actor=bob"
    assert asked.having("actor", "").pairs == (("q", "x&y"),)


def test_a_quick_range_takes_the_place_of_other_times() -> None:
    asked = read("default", [("from", "2026-11-19"), ("actor", "ada")])
    assert asked.range is None
    assert asked.ago("7d").pairs == (("actor", "ada"), ("since", "7d"))
    assert (asked.ago("7d").range, asked.ago("").range) == ("7d", "")
