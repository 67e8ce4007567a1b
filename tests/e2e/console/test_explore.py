"""Explore, as people use it: by filter, by words, by the chart, by keys; with and without JavaScript."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import TestBucket
from tests.e2e.console.conftest import Opened, recorded
from tests.support.browser import Watch
from tests.support.people import Person, person
from tests.support.server import Server

NEEDLE = "a needle in the hay"
EXACT = '{"amount":123456789012345678901234567890.10,"z":1e400,"a":"second"}'


@pytest.fixture
def hay(bucket: TestBucket) -> TestBucket:
    """120 events of the last two minutes, and a needle of an hour ago."""
    recorded(bucket, 120)
    then = (datetime.now().astimezone() - timedelta(hours=1)).isoformat()
    line = {"message": NEEDLE, "service": "barn", "time": then, "level": "critical"}
    bucket.record(json.dumps(line)[:-1] + f', "attributes": {EXACT}}}')
    return bucket


@pytest.fixture
def page(opened: Opened, admin: Person) -> Page:
    return opened.page_of(admin)


@pytest.fixture
def watch(opened: Opened, page: Page) -> Watch:
    return opened.watch(page)


def at(bucket: TestBucket, query: str = "") -> str:
    return f"/explore/{bucket.name}{'?' if query else ''}{query}"


def expect_needle(page: Page) -> None:
    expect(page.locator("#events > .event")).to_have_count(1)
    expect(page.locator("#events > .event")).to_contain_text(NEEDLE)


def test_an_event_is_found_by_a_filter_whose_values_are_offered(page: Page, hay: TestBucket) -> None:
    page.goto(at(hay))
    page.get_by_text("+ Filter").click()
    page.get_by_label("Field").fill("service")
    page.get_by_label("Value").fill("bar")
    expect(page.locator("#add-values option")).to_have_count(1)
    assert page.locator("#add-values option").get_attribute("value") == "barn"
    page.get_by_label("Value").fill("barn")
    page.get_by_role("button", name="Add filter").click()
    expect_needle(page)
    assert "service=barn" in page.url
    page.get_by_role("link", name="Remove the filter service: barn").click()
    expect(page.locator("#events > .event").nth(1)).to_be_visible()


def test_paths_in_the_attributes_are_offered_and_found(page: Page, hay: TestBucket) -> None:
    page.goto(at(hay, "level=critical"))
    page.get_by_text("+ Filter").click()
    page.get_by_label("Field").fill("attr.a")
    expect(page.locator("#add-fields option[value='attr.amount']")).to_have_count(1)
    page.get_by_label("Field").fill("attr.a")
    page.get_by_label("Value").fill("second")
    page.keyboard.press("Enter")
    expect_needle(page)


def test_an_event_is_found_by_words(page: Page, hay: TestBucket) -> None:
    page.goto(at(hay, "level=critical&level=error"))
    page.keyboard.press("/")
    page.keyboard.type('"needle in" -number')
    page.keyboard.press("Enter")
    expect_needle(page)
    assert "level=critical" in page.url


def test_brushing_the_chart_finds_and_a_double_click_goes_back_out(page: Page, hay: TestBucket) -> None:
    page.goto(at(hay))
    plot = page.locator(".explore-plot .u-over")
    box = plot.bounding_box()
    assert box
    page.mouse.move(box["x"] + 1, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + 60, steps=5)
    page.mouse.up()
    page.wait_for_url("**since=*until=*")
    expect_needle(page)
    expect(page.locator(".explore-total")).to_contain_text("1 event")
    for _ in range(2):
        brushed = page.url
        page.locator(".explore-plot .u-over").dblclick()
        page.wait_for_url(lambda url, brushed=brushed: url != brushed)
    expect(page.locator(".explore-total")).to_contain_text("121 events")


def test_older_events_come_as_one_scrolls(page: Page, hay: TestBucket) -> None:
    page.goto(at(hay))
    rows = page.locator("#events > .event")
    expect(rows).to_have_count(50)
    deadline = time.monotonic() + 30
    while rows.count() < 121 and time.monotonic() < deadline:
        page.mouse.wheel(0, 3_000)
        page.wait_for_timeout(150)
    expect(page.locator("#events")).to_contain_text("That is all")
    expect(rows).to_have_count(121)
    ids = rows.evaluate_all("rows => rows.map(row => row.id)")
    assert len(set(ids)) == 121


def test_the_drawer_is_a_link_keeps_every_digit_and_leads_on(page: Page, hay: TestBucket) -> None:
    page.goto(at(hay, "service=barn"))
    page.locator(".event-link").click()
    drawer = page.locator("#drawer")
    expect(drawer).to_contain_text("123456789012345678901234567890.10")
    expect(drawer).to_contain_text("1e400")
    expect(page).to_have_url(re.compile("/events/[0-9a-f-]{36}\\?service=barn"))
    link = page.url
    page.go_back()
    expect(drawer).to_be_hidden()
    page.goto(link)
    expect(page.locator(".event-detail")).to_contain_text(NEEDLE)
    page.get_by_role("link", name="Filter out message").click()
    expect(page.get_by_text("Nothing found.")).to_be_visible()
    expect(page.get_by_role("link", name="text: -\"a needle")).to_be_visible()


def test_an_event_is_copied_as_json_and_as_curl(page: Page, hay: TestBucket) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(at(hay, "service=barn"))
    page.locator(".event-link").click()
    page.get_by_role("button", name="Copy JSON").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert EXACT in page.evaluate("navigator.clipboard.readText()")
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.get_by_role("button", name="Copied")).to_have_count(2)
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("curl http")
    assert "$HEADRACE_KEY" in copied
    assert "hr_" not in copied


def test_keys_go_down_open_and_close(page: Page, hay: TestBucket) -> None:
    page.goto(at(hay))
    for key in ("j", "j", "ArrowDown", "k", "Enter"):
        page.keyboard.press(key)
    expect(page.locator("#drawer")).to_contain_text("event number 118")
    page.keyboard.press("j")
    expect(page.locator("#drawer")).to_contain_text("event number 117")
    page.keyboard.press("Escape")
    expect(page.locator("#drawer")).to_be_hidden()
    expect(page.locator(".event-link").nth(2)).to_be_focused()
    expect(page).to_have_url(re.compile(f"/explore/{hay.name}$"))


@pytest.mark.parametrize(("format", "most"), [("NDJSON", 1), ("CSV", 1), ("Parquet", 1)])
def test_an_export_holds_what_the_filter_finds(
    page: Page, hay: TestBucket, tmp_path: Path, format: str, most: int
) -> None:
    page.goto(at(hay, "service=barn"))
    page.get_by_text("Export", exact=True).click()
    with page.expect_download() as waiting:
        page.get_by_role("link", name=format).click()
    target = tmp_path / "file"
    waiting.value.save_as(target)
    expect(page.locator("[data-export-state]")).to_contain_text("Done")
    content = target.read_bytes()
    assert NEEDLE.encode() in content or format == "Parquet"
    if format == "NDJSON":
        assert len(content.splitlines()) == most
    if format == "Parquet":
        assert content.startswith(b"PAR1")


def test_a_filter_that_cannot_be_is_told_at_its_place(page: Page, hay: TestBucket, watch: Watch) -> None:
    watch.forgive("400")
    page.goto(at(hay, "since=yesterday&level=loud&servcie=x"))
    alerts = page.get_by_role("alert")
    expect(alerts).to_have_count(3)
    expect(alerts.filter(has_text="'loud' is not a level")).to_be_visible()
    page.get_by_role("link", name="Clear filters").click()
    expect(page.get_by_role("alert")).to_have_count(1)


def test_where_nothing_is_found_the_filter_that_is_to_blame_is_named(page: Page, hay: TestBucket) -> None:
    page.goto(at(hay, "service=barn&level=critical&q=nothing-has-this"))
    expect(page.get_by_text("There would be events without:")).to_be_visible()
    page.get_by_role("link", name="text: nothing-has-this").click()
    expect_needle(page)


def test_an_empty_bucket_shows_how_to_send(page: Page, bucket: TestBucket) -> None:
    page.goto(at(bucket))
    expect(page.locator(".empty")).to_contain_text(f"/v1/buckets/{bucket.name}/events")


def test_times_of_ones_own_are_in_the_viewers_zone(page: Page, bucket: TestBucket) -> None:
    bucket.record({"message": "noon in Berlin", "time": "2026-07-01T10:00:00Z"})
    page.goto(at(bucket))
    page.get_by_text("custom").click()
    page.get_by_label(re.compile("^From")).fill("2026-07-01T12:00:00")
    page.get_by_label(re.compile("^To")).fill("2026-07-01T12:00:01")
    page.get_by_role("button", name="Show this time").click()
    expect(page.locator("#events > .event")).to_have_count(1)
    assert "since=2026-07-01T10%3A00%3A00.000Z" in page.url


def test_columns_are_part_of_the_link(page: Page, hay: TestBucket) -> None:
    page.goto(at(hay, "service=barn"))
    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("Action", exact=True).uncheck()
    page.get_by_label("Attributes, with commas between").fill("amount")
    page.get_by_role("button", name="Show these").click()
    expect(page.locator("#events > .event")).to_contain_text("123456789012345678901234567890.10")
    expect(page.locator(".cell-action")).to_have_count(0)
    assert "attr.amount" in page.url


def test_it_works_without_javascript(opened: Opened, hay: TestBucket, admin: Person) -> None:
    page = opened.page_of(admin, java_script_enabled=False)
    page.goto(at(hay))
    page.get_by_role("link", name="Older events").click()
    expect(page.locator("#events > .event")).to_have_count(50)
    page.get_by_role("searchbox").fill("needle")
    page.get_by_role("button", name="Search").click()
    expect_needle(page)
    page.locator(".event-link").click()
    expect(page.locator(".event-detail")).to_contain_text("1e400")
    page.get_by_role("link", name="Filter for service").click()
    expect(page.locator(".chip")).to_contain_text("barn")


def test_who_may_read_nothing_is_told_whom_to_ask(opened: Opened, shared_server: Server) -> None:
    page = opened.page_of(person(shared_server))
    page.goto("/explore")
    expect(page.get_by_text("no bucket that you may read")).to_be_visible()
