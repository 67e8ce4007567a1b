"""Cursors come back as they went, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import Malformed
from headrace.model.query import Order, Position
from headrace.query.cursor import decode_cursor, encode_cursor

ORDERS: st.SearchStrategy[Order] = st.sampled_from(("desc", "asc"))
CURSOR = encode_cursor("asc", Position(1, 2))
POSITIONS = st.builds(Position, st.integers(0, 9_214_646_399_999_999), st.integers(0, (1 << 128) - 1))


@given(ORDERS, POSITIONS)
def test_a_cursor_carries_order_and_position(order: Order, position: Position) -> None:
    assert decode_cursor(encode_cursor(order, position)) == (order, position)


@given(POSITIONS, st.integers(0, 39), st.sampled_from("AZaz09-_"))
def test_a_cursor_with_one_character_changed_is_refused(position: Position, place: int, character: str) -> None:
    cursor = encode_cursor("desc", position)
    changed = cursor[:place] + character + cursor[place + 1 :]
    if changed != cursor:
        with pytest.raises(Malformed):
            decode_cursor(changed)


@given(st.text())
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(Malformed) as caught:
        decode_cursor(text)
    assert [item.field for item in caught.value.items] == ["cursor"]


@pytest.mark.parametrize("changed", [CURSOR[:-1], CURSOR + "A", CURSOR + "=", "\n" + CURSOR, ""])
def test_a_cursor_cut_or_lengthened_is_refused(changed: str) -> None:
    with pytest.raises(Malformed):
        decode_cursor(changed)


def test_a_position_outside_of_all_time_is_refused_though_its_check_is_right() -> None:
    with pytest.raises(Malformed):
        decode_cursor(encode_cursor("asc", Position(1 << 62, 2)))
