"""The live tail in a browser: nothing is missing and nothing comes twice, paused, scrolled, cut off or flooded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import TestBucket
from tests.e2e.console.conftest import Opened, recorded
from tests.support.people import person
from tests.support.server import Server

ROWS = "#events > .event"


def follow(page: Page, bucket: TestBucket, query: str = "") -> Page:
    """Live is on."""
    page.goto(f"/explore/{bucket.name}{query}")
    page.get_by_role("button", name="Live").click()
    live(page)
    return page


def live(page: Page, state: str = "live") -> None:
    expect(page.locator("[data-live]")).to_have_attribute("data-state", state)


def send(bucket: TestBucket, first: int, count: int) -> None:
    """Events number `first` and on, that can be queried now."""
    answer = bucket.record(*({"message": f"number {number}"} for number in range(first, first + count)))
    assert answer.status_code == 201, answer.text


def shown(page: Page) -> list[int]:
    """The numbers in the list, from the top."""
    texts: list[str] = page.locator(f"{ROWS} .cell-message").all_text_contents()  # those off screen have no inner text
    return [int(text.strip().removeprefix("number ")) for text in texts]


def test_what_is_stored_comes_to_the_top_while_nobody_does_anything(admin_page: Page, bucket: TestBucket) -> None:
    send(bucket, 0, 3)
    follow(admin_page, bucket)
    for number in range(3, 23):
        send(bucket, number, 1)
    expect(admin_page.locator(ROWS)).to_have_count(23)
    assert shown(admin_page) == list(range(22, -1, -1))


def test_the_first_event_of_an_empty_bucket_takes_the_place_of_the_empty_state(
    admin_page: Page, bucket: TestBucket
) -> None:
    follow(admin_page, bucket)
    expect(admin_page.locator(".explore-results .empty")).to_be_visible()
    send(bucket, 1, 1)
    expect(admin_page.locator(ROWS)).to_have_count(1)
    expect(admin_page.locator(".explore-results .empty")).to_have_count(0)


def test_what_was_stored_between_the_page_and_live_is_not_missing(admin_page: Page, bucket: TestBucket) -> None:
    send(bucket, 0, 2)
    admin_page.goto(f"/explore/{bucket.name}")
    expect(admin_page.locator(ROWS)).to_have_count(2)
    send(bucket, 2, 5)
    admin_page.get_by_role("button", name="Live").click()
    expect(admin_page.locator(ROWS)).to_have_count(7)
    assert shown(admin_page) == list(range(6, -1, -1))


def test_a_pause_counts_what_waits_and_then_shows_all_of_it_once(admin_page: Page, bucket: TestBucket) -> None:
    page = follow(admin_page, bucket)
    send(bucket, 0, 5)
    expect(page.locator(ROWS)).to_have_count(5)
    page.get_by_role("button", name="Pause").click()
    for number in range(5, 42, 1):
        send(bucket, number, 1)
    expect(page.locator("[data-live-new]")).to_have_text(re.compile("37 new"))
    assert shown(page) == list(range(4, -1, -1))
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(ROWS)).to_have_count(42)
    assert shown(page) == list(range(41, -1, -1))
    expect(page.locator("[data-live-new]")).to_be_hidden()
    send(bucket, 42, 1)
    expect(page.locator(ROWS)).to_have_count(43)


def test_whoever_has_scrolled_down_keeps_the_place_and_is_told(admin_page: Page, bucket: TestBucket) -> None:
    send(bucket, 0, 45)
    page = follow(admin_page, bucket)
    page.locator(ROWS).nth(40).scroll_into_view_if_needed()
    page.evaluate("scrollBy(0, 400)")
    before = page.evaluate("scrollY")
    send(bucket, 45, 7)
    fresh = page.locator("[data-live-new]")
    expect(fresh).to_have_text(re.compile("7 new"))
    assert page.evaluate("scrollY") == before
    fresh.click()
    expect(page.locator(ROWS)).to_have_count(52)
    assert shown(page) == list(range(51, -1, -1))


def test_only_what_the_filter_says_is_live(admin_page: Page, bucket: TestBucket) -> None:
    page = follow(admin_page, bucket, "?level=error")
    bucket.record({"message": "number 1"}, {"message": "number 2", "level": "error"})
    expect(page.locator(ROWS)).to_have_count(1)
    bucket.record({"message": "number 3"}, {"message": "number 4", "level": "error"})
    expect(page.locator(ROWS)).to_have_count(2)
    assert shown(page) == [4, 2]


def test_a_longer_pause_leaves_the_rest_on_the_server_and_goes_on_there(admin_page: Page, bucket: TestBucket) -> None:
    page = follow(admin_page, bucket)
    page.get_by_role("button", name="Pause").click()
    for batch in range(6):
        send(bucket, batch * 500, 500)
        page.wait_for_timeout(1_000)  # so that no flood is shown in part
    expect(page.locator("[data-live-new]")).to_have_text(re.compile("and more new"))
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(f"{ROWS} .cell-message").first).to_have_text("number 2999")
    numbers = shown(page)
    assert numbers == list(range(2_999, 2_999 - len(numbers), -1))  # none missing, none twice
    assert len(numbers) == 2_000
    expect(page.locator(".events-let-go")).to_contain_text("Older rows were let go")
    with page.expect_popup() as opened:
        page.locator(".events-let-go a").click()
    assert shown(opened.value)[0] >= min(numbers) - 1  # the page behind it goes on where the list ends


def test_a_flood_does_not_freeze_the_page_and_what_is_left_out_is_a_link_away(
    admin_page: Page, bucket: TestBucket
) -> None:
    page = follow(admin_page, bucket, "?columns=message")
    page.evaluate("""() => {
      window.longest = 0; let last = performance.now();
      setInterval(() => {
        const now = performance.now();
        window.longest = Math.max(window.longest, now - last);
        last = now;
      }, 20);
    }""")
    for second in range(4):
        lines = "\n".join(json.dumps({"message": f"number {second * 5_000 + n}"}) for n in range(5_000))
        assert bucket.post(lines.encode(), "application/x-ndjson", ack="stored", ids="false").status_code == 201
        page.wait_for_timeout(700)
    note = page.locator("[data-live-left]")
    expect(note).to_contain_text("came faster than a page can show")
    expect(page.locator(f"{ROWS} .cell-message").first).to_have_text("number 19999")
    said = re.match(r"[\d,]+", note.inner_text())
    assert said
    assert 0 < int(said[0].replace(",", "")) < 20_000
    assert page.locator(ROWS).count() <= 2_000
    assert page.evaluate("window.longest") < 3_000  # ms; on a machine with nothing else to do it is under 300
    with page.expect_popup() as opened:
        note.get_by_role("link", name="Show them").click()
    expect(opened.value.locator(ROWS).first).to_be_visible()


@pytest.fixture
def restarted(browser: Browser, server: Server) -> Iterator[Opened]:
    with Opened(browser, server).all_closed() as pages:
        yield pages


def test_a_restart_of_the_server_leaves_no_gap(restarted: Opened, server: Server, tmp_path: Path) -> None:
    page = restarted.page_of(person(server, role="admin"))
    restarted.watch(page).forgive("ERR_|status of 503|Failed to load")
    with server.client() as client:
        here = TestBucket(client, "default")
        follow(page, here)
        send(here, 0, 3)
        expect(page.locator(ROWS)).to_have_count(3)
    server.kill()
    live(page, "waiting")
    server.start()
    with server.client() as client:
        here = TestBucket(client, "default")
        send(here, 3, 4)
        expect(page.locator(ROWS)).to_have_count(7)
        live(page)
        send(here, 7, 1)
        expect(page.locator(ROWS)).to_have_count(8)
    assert shown(page) == list(range(7, -1, -1))


def test_offline_is_said_and_what_came_meanwhile_follows(admin_page: Page, bucket: TestBucket, opened: Opened) -> None:
    opened.watch(admin_page).forgive("ERR_INTERNET_DISCONNECTED|ERR_NETWORK_CHANGED")
    page = follow(admin_page, bucket)
    page.context.set_offline(True)
    live(page, "offline")
    send(bucket, 0, 3)
    page.context.set_offline(False)
    live(page)
    expect(page.locator(ROWS)).to_have_count(3)
    assert shown(page) == [2, 1, 0]


def test_a_session_that_ends_ends_the_tail_and_says_so(
    opened: Opened, bucket: TestBucket, shared_server: Server
) -> None:
    someone = person(shared_server, role="admin")
    page = follow(opened.page_of(someone), bucket)
    opened.watch(page).forgive("status of 401")
    answer = bucket.client.patch(f"/v1/users/{someone.id}", json={"disabled": True})
    assert answer.status_code == 200, answer.text
    send(bucket, 0, 1)
    live(page, "ended")
    expect(page.locator("[data-live-state]").get_by_role("link", name="Sign in")).to_be_visible()
    assert page.locator(ROWS).count() == 0


def test_hostile_events_are_inert_when_they_come_live(admin_page: Page, bucket: TestBucket) -> None:
    page = follow(admin_page, bucket)
    script, image = "<script>window.hit=1</script>", '"><img src=x onerror="window.hit=1">'
    nasty = [script, image, "a\n\ndata: <b>\n\n", "\x1b[31mred\u202e"]
    bucket.record(*({"message": text, "service": text} for text in nasty))
    expect(page.locator(ROWS)).to_have_count(4)
    assert page.evaluate("window.hit") is None
    assert page.locator("#events :is(script, img, b)").count() == 0


def test_live_from_an_older_page_of_the_list_goes_to_the_newest(admin_page: Page, bucket: TestBucket) -> None:
    recorded(bucket, 5, lambda number: {"message": f"number {number}"})
    page = admin_page
    page.goto(f"/explore/{bucket.name}?order=asc")
    page.get_by_role("button", name="Live").click()
    live(page)
    assert page.url.endswith(f"/explore/{bucket.name}#live")
    page.get_by_role("button", name="Live").click()
    live(page, "off")
    assert page.url.endswith(f"/explore/{bucket.name}")
