"""Every page of the console is one that the tests of all pages visit."""

from __future__ import annotations

from tests.e2e.console.visits import NO_PAGES, VISITS, page_routes


def test_every_page_is_visited() -> None:
    visited = {visit.route for visit in VISITS}
    missing = {route for route in page_routes() if "/part" not in route} - visited - set(NO_PAGES)
    assert not missing, "give these a row in tests/e2e/console/visits.py"


def test_every_row_is_about_a_page_that_there_is() -> None:
    known = {"", *page_routes()}
    assert {visit.route for visit in VISITS} <= known
    assert set(NO_PAGES) <= known


def test_no_two_rows_have_one_name() -> None:
    assert len({visit.name for visit in VISITS}) == len(VISITS)
