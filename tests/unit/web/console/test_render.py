"""What filters write is as wide as what console.js makes of it, so that a page lies still when the script comes."""

from __future__ import annotations

import pytest
from jinja2 import Environment

from headrace.kit.times import DAY, HOUR, MINUTE, SECOND
from headrace.web.console.render import ago, moment

NOON = 1_795_867_200 * SECOND


def since(length: int) -> str:
    made = Environment(autoescape=True)
    made.filters["ago"] = ago
    return made.from_string("{{ then | ago }}").render(then=NOON - length, now=NOON)


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (0, "just now"),
        (44 * SECOND, "just now"),
        (45 * SECOND, "1 min ago"),
        (150 * SECOND, "3 min ago"),
        (59 * MINUTE, "59 min ago"),
        (HOUR, "1 h ago"),
        (3 * DAY, "3 d ago"),
        (90 * DAY, "3 months ago"),
        (-10 * SECOND, "in a moment"),
        (-2 * HOUR, "in 2 h"),
    ],
)
def test_a_time_since_is_in_the_words_of_the_script(length: int, words: str) -> None:
    assert f">{words}</time>" in since(length)


def test_a_moment_says_utc_to_those_without_scripts_only() -> None:
    assert moment(NOON).endswith('>2026-11-28 12:00:00<span class="utc"> UTC</span></time>')
    assert moment(NOON, "date").endswith('>2026-11-28<span class="utc"> UTC</span></time>')
    assert moment(None) == "–"
