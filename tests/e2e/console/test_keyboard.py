"""Everything on the way of someone with a keyboard alone can be reached, is seen to be reached, and works."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import TestBucket
from tests.e2e.console.conftest import Opened, Visits, recorded
from tests.e2e.console.keys import Keys
from tests.e2e.console.visits import VISITS, Visit
from tests.support.people import PASSWORD, Person

NEEDLE = "a needle in the hay"


@pytest.fixture
def page(opened: Opened, admin: Person) -> Page:
    return opened.page_of(admin)


@pytest.fixture
def keys(page: Page) -> Keys:
    return Keys(page)


def test_one_signs_in(opened: Opened, admin: Person) -> None:
    page = opened.page()
    page.goto("/sign-in")
    keys = Keys(page)
    expect(page.locator("input[name=username]")).to_be_focused()  # by itself
    keys.write(admin.username)
    keys.reach("password", tag="input")
    keys.write(PASSWORD)
    keys.reach("^sign in", tag="button")
    keys.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_the_first_stop_leads_past_the_navigation(page: Page, keys: Keys) -> None:
    page.goto("/")
    keys.reach("skip to")
    assert len(keys.passed) == 1, keys.passed
    keys.press("Enter")
    keys.press("Tab")
    assert page.evaluate("() => document.activeElement.closest('nav, .bar') === null")


def test_an_event_is_found_opened_and_closed(page: Page, keys: Keys, bucket: TestBucket) -> None:
    recorded(bucket, 30)
    recorded(bucket, 1, message=NEEDLE)
    page.goto(f"/explore/{bucket.name}")
    keys.reach("search|words|message", tag="input")
    keys.write(NEEDLE)
    keys.press("Enter")
    expect(page.locator("#events > .event")).to_have_count(1)
    keys.reach(NEEDLE, tag="a")
    keys.press("Enter")
    expect(page.locator(".drawer")).to_be_visible()
    keys.reach("copy")
    keys.press("Escape")
    expect(page.locator(".drawer")).to_be_hidden()
    at = keys.focused()
    assert at, "nothing has the focus after the drawer was closed"
    assert NEEDLE in at["name"], at


def test_the_navigation_leads_to_every_page_and_says_where_one_is(page: Page, keys: Keys) -> None:
    page.goto("/")
    keys.reach("^audit$", tag="a")
    keys.press("Enter")
    page.wait_for_url(re.compile("/audit"))
    expect(page.locator("nav [aria-current]").first).to_be_attached()


def test_a_key_is_made(page: Page, keys: Keys, bucket: TestBucket) -> None:
    page.goto("/admin/keys")
    keys.reach("(new|make).* key")
    keys.press("Enter")
    page.wait_for_url("**/admin/keys/new*")
    page.goto(f"/admin/keys/new?bucket={bucket.name}")
    keys.reach("what uses it", tag="input")
    keys.write("made by keyboard")
    keys.reach("read", tag="input")
    keys.press("Space")
    keys.reach("make|create", tag="button")
    keys.press("Enter")
    expect(page.get_by_text("made by keyboard").first).to_be_visible()
    keys.reach("copy", tag="button")


@pytest.mark.parametrize("visit", VISITS, ids=lambda visit: visit.name)
def test_every_stop_of_a_page_is_seen(visits: Visits, visit: Visit) -> None:
    page = visits.page(visit)
    visits.go(page, visit)
    keys = Keys(page)
    seen = 0
    for _ in range(60):
        keys.press("Tab")
        if keys.focused() is None:
            break  # the end of the page
        seen += 1
    assert seen > 1
