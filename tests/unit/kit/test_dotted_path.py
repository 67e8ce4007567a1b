"""A path with dots is read in every way, and never in too many."""

from __future__ import annotations

from headrace.kit.dotted_path import readings


def test_each_dot_goes_down_or_is_part_of_a_key() -> None:
    assert sorted(readings("a.b.c")) == [["a", "b", "c"], ["a", "b.c"], ["a.b", "c"], ["a.b.c"]]
    assert readings("a") == [["a"]]
    assert readings("") == [[""]]


def test_a_long_path_is_read_down_and_then_as_one_key() -> None:
    ways = readings("a.b.c.d.e.f")
    assert len(ways) == 6
    assert ["a", "b", "c", "d", "e", "f"] in ways
    assert ["a", "b.c.d.e.f"] in ways
    assert len(readings("a.b.c.d.e")) == 16
    assert len(readings(".".join("x" * 200))) == 200
