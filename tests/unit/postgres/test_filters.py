"""Filters become SQL in which nothing that a caller sent is text of ours."""

from __future__ import annotations

import random

from headrace.adapters.postgres.filters import _successor, condition
from headrace.model.query import ActionMatch, AttributeMatch, EventFilter, Word

POINTS = [*map(chr, (0x20, 0x61, 0x7F, 0x80, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFE, 0x10FFFF))]


def test_the_successor_ends_exactly_what_begins_with_the_prefix() -> None:
    rng = random.Random(1)
    texts = ["".join(rng.choices(POINTS, k=rng.randrange(4))) for _ in range(300)]
    for prefix in texts:
        end = _successor(prefix)
        for text in texts:
            between = prefix.encode() <= text.encode() and (end is None or text.encode() < end.encode())
            assert between == text.startswith(prefix)


def test_no_value_is_part_of_the_sql() -> None:
    evil = "x') OR true --%s"
    wanted = EventFilter(
        services=(evil,), outcomes=(evil, "b"), actors=(evil,), targets=(evil,), trace_ids=(evil,),
        actions=(ActionMatch(evil), ActionMatch(evil, prefix=True)), texts=((Word(evil), Word(evil, negated=True)),),
        attributes=(AttributeMatch(f"{evil}.{evil}", (evil, "1", "2.5", "null", '["x"]')),),
    )  # fmt: skip
    sql = condition(1, EventFilter(within=wanted)).sql
    assert "true" not in sql
    assert sql.count("%s") == len(condition(1, wanted).params)
