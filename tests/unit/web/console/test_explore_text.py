"""What events hold, as people see it: inert, with every digit, and cut where it is long."""

from __future__ import annotations

import json

import pytest

from headrace.model.event import Party
from headrace.web.console.pages.explore.json_lines import lines, value_at
from headrace.web.console.pages.explore.marks import visible
from headrace.web.console.pages.explore.rows import row_of
from headrace.web.console.pages.explore.state import State
from tests.unit.web.fakes import event


def joined(text: str) -> str:
    """The lines as one JSON text again."""
    return "".join(
        ("" if line.key is None else json.dumps(line.key) + ":") + line.text + ("," if line.comma else "")
        for line in lines(text)
    )


@pytest.mark.parametrize(
    "text",
    [
        '{"b":1,"a":[1,2,{"c":null}],"d":{},"e":[]}',
        '{"n":123456789012345678901234567890.123456789012345678901234567890e-400}',
        '{"s":"a \\"quoted\\" {[,:]} text","t":true}',
        '[[[]],[{}]]',
        '{"":""}',
    ],
)
def test_lines_keep_every_digit_and_the_order(text: str) -> None:
    assert joined(text) == text


def test_a_number_of_5000_digits_is_a_line() -> None:
    assert [line.text for line in lines('{"n":' + "9" * 5_000 + "}")][1] == "9" * 5_000


def test_a_hundred_thousand_nested_arrays_are_lines() -> None:
    depth = 100_000
    assert max(line.depth for line in lines("[" * depth + "]" * depth)) == depth - 1


def test_each_scalar_has_the_path_that_finds_it() -> None:
    found = {line.path: line.value for line in lines('{"a":{"b":["x",{"c":1.50}]},"d.e":"\\u00fc"}') if line.path}
    assert found == {"a.b.0": "x", "a.b.1.c": "1.50", "d.e": "ü"}
    assert value_at('{"a":{"b":"y"}}', "a.b") == "y"


def test_escapes_are_read_and_half_a_surrogate_stays_as_it_was_written() -> None:
    shown = [line.text for line in lines('{"a":"\\u00fc\\n","b":"\\ud800"}')]
    assert shown[1:3] == ['"ü\\n"', '"\\ud800"']


def test_markup_is_escaped_and_the_invisible_becomes_a_mark() -> None:
    shown = visible("<b>\x1b[31m\u202eabc")
    assert "<b>" not in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "␛" in shown
    assert "RLO" in shown


def test_lines_and_tabs_stay_where_there_is_room_for_them() -> None:
    assert visible("a\n\tb", lines=True) == "a\n\tb"
    assert "\n" not in visible("a\nb")


def test_a_row_weighs_little_whatever_was_sent() -> None:
    long = "<" * 200_000
    row = row_of(event(1, message=long, service=long, actor=Party(long), attributes='{"a":"' + long + '"}'), State("b"))
    assert sum(len(cell) for cell in row.cells.values()) < 5_000


def test_a_row_shows_parties_attributes_and_what_stands_for_a_message() -> None:
    state = State("b", columns=("actor", "attr.ip", "message"))
    row = row_of(event(1, message=None, actor=Party("u1", "user", "Ada"), attributes='{"ip":"::1"}'), state)
    assert row.cells == {"actor": "Ada (u1)", "attr.ip": "::1", "message": "{&#34;ip&#34;:&#34;::1&#34;}"}
    assert row.href.endswith("/events/00000000-0000-0000-0000-000000000001?columns=actor%2Cattr.ip%2Cmessage")
