"""The overview's figures in words, and what a bucket's share is."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import pytest

from headrace.errors import Unavailable
from headrace.model.bucket import Bucket, BucketStats
from headrace.model.principal import Principal
from headrace.operations.history import FIELDS, KEPT, Window
from headrace.services import Services
from headrace.web.console.pages.overview import _message as message
from headrace.web.console.pages.overview import _shown as shown
from headrace.web.console.pages.overview.figures import NOTHING, TILES, tiles, written
from headrace.web.console.pages.overview.panels import PANELS, Panel, named
from headrace.web.console.pages.overview.storage import Row, Storage


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (0, "rate", "0 /s"),
        (0.001, "rate", "0.01 /s"),
        (0.25, "rate", "0.25 /s"),
        (0.996, "rate", "1.0 /s"),
        (99.94, "rate", "99.9 /s"),
        (99.96, "rate", "100 /s"),
        (31_234.4, "rate", "31,234 /s"),
        (1_234_567, "count", "1,234,567"),
        (0.4, "seconds", "0.40 s"),
        (89, "seconds", "89.0 s"),
        (90, "seconds", "1.5 min"),
        (5_400, "seconds", "1.5 h"),
        (1_023, "size", "1,023 B"),
        (1_024, "size", "1.0 KiB"),
        (5 * 1024**3, "size", "5.0 GiB"),
        (5 * 1024**6, "size", "5,242,880 TiB"),
        (math.nan, "count", NOTHING),
    ],
)
def test_figures_have_units_and_as_many_digits_as_anybody_reads(value: float, form: str, text: str) -> None:
    assert written(value, form) == text


def test_before_the_first_sample_every_tile_is_there_without_a_figure() -> None:
    found = tiles(None)
    assert [shown["tile"] for shown in found] == list(TILES)
    assert {shown["value"] for shown in found} == {NOTHING}


@pytest.mark.parametrize(
    ("lag", "verdict"),
    [(0, ("ok", "keeping up")), (2, ("warn", "busy")), (30, ("bad", "behind")), (math.nan, ("", "unknown"))],
)
def test_a_verdict_is_a_word_and_not_a_colour_alone(lag: float, verdict: tuple[str, str]) -> None:
    (shown,) = [shown for shown in tiles({"lag": lag}) if shown["tile"].label == "Drain lag"]  # type: ignore[attr-defined]  # it is a Tile
    assert shown["verdict"] == verdict


def test_panels_are_found_by_their_names() -> None:
    assert all(named(panel.name) is panel for panel in PANELS)
    assert named("nothing") is None


def row(name: str, events: int | None) -> Row:
    stats = None if events is None else BucketStats(events, None, None)
    return Row(Bucket(1, name, "", None, 0), stats, 0, None)


@pytest.mark.parametrize(
    ("rows", "more", "writable", "empty"),
    [
        ([row("default", 0), row("_audit", 7)], 0, "default", True),
        ([], 0, None, True),
        ([row("default", 1)], 0, "default", False),
        ([row("default", 0)], 3, "default", False),
        ([row("inbox", None)], 0, "inbox", False),
        ([row("default", 0)], 0, None, False),
    ],
    ids=["new", "no-bucket", "has-events", "not-all-seen", "only-writes", "only-reads"],
)
def test_the_first_steps_are_shown_to_whom_they_help(
    rows: list[Row], more: int, writable: str | None, empty: bool
) -> None:
    assert Storage(rows, 0, None, more, writable).is_empty is empty


async def test_a_panel_that_cannot_be_asked_says_why_and_one_that_is_nobodys_business_is_not_there() -> None:
    async def fails(services: Services, visitor: Principal) -> None:
        raise Unavailable("the store is closed")

    async def none(services: Services, visitor: Principal) -> None:
        return None

    nobody = SimpleNamespace()
    broken, hidden = (Panel("x", "X", "x.html", load) for load in (fails, none))
    assert await shown(nobody, nobody, broken) == {"panel": broken, "trouble": "the store is closed"}  # type: ignore[arg-type]  # neither is looked at
    assert await shown(nobody, nobody, hidden) == {}  # type: ignore[arg-type]  # neither is looked at


def test_an_hour_of_a_busy_server_comes_in_few_bytes_and_a_gap_is_null() -> None:
    busy = {field: [31_234.512] * KEPT for field in FIELDS} | {"time": [1_790_000_000.123] * KEPT}
    told = message(Window(1, busy))
    assert len(told) < 80_000  # of the 300 kB that a page may weigh; the rest of it is 190
    gap = json.loads(message(Window(1, {field: [math.nan] for field in FIELDS} | {"time": [1.0]})))
    assert (gap["series"]["depth"], gap["newest"]["bytes"]) == ([None], None)
