"""The audit page: sentences, filters, older events, and for whom it is."""

from __future__ import annotations

import re
import time

from playwright.sync_api import Page, expect

from tests.e2e.conftest import TestBucket
from tests.e2e.console.conftest import Opened, recorded
from tests.support.people import Person
from tests.support.server import Server

SCRIPT = "<script>document.title = 'taken over'</script>"


def entries(page: Page):  # type: ignore[no-untyped-def]  # a Locator
    return page.locator(".audit-entry")


def wait_for_record(server: Server, target: str) -> None:
    """Records reach `_audit` a moment after the change."""
    deadline = time.monotonic() + 30
    with server.client() as client:
        while not client.get("/v1/buckets/_audit/events", params={"target": target}).json()["events"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_what_happened_reads_as_sentences_and_filters_by_who_and_what(admin_page: Page, bucket: TestBucket) -> None:
    recorded(bucket, 120)
    admin_page.goto(f"/audit/{bucket.name}")
    expect(entries(admin_page)).to_have_count(50)
    expect(entries(admin_page).first).to_contain_text("Ada 0 (user-0) declined a card on invoice inv-119")
    expect(entries(admin_page).first).to_contain_text("from 203.0.113.119")
    admin_page.get_by_role("link", name="Older").click()
    expect(entries(admin_page)).to_have_count(100)
    admin_page.get_by_role("link", name="Ada 3", exact=True).first.click()
    expect(admin_page).to_have_url(re.compile("actor=user-3"))
    expect(entries(admin_page).locator(".muted").filter(has_text="(user-3)")).to_have_count(17)
    admin_page.get_by_label("Did what").fill("invoice.*")
    admin_page.get_by_role("button", name="Show").click()
    expect(admin_page).to_have_url(re.compile(r"\?actor=user-3&action=invoice\.\*$"))
    expect(entries(admin_page).first).to_contain_text("paid invoice")
    expect(entries(admin_page)).to_have_count(4)
    admin_page.get_by_text("Export", exact=True).click()
    href = admin_page.get_by_role("link", name="CSV, for spreadsheets").get_attribute("href")
    assert href
    assert "actor=user-3" in href
    assert "action=invoice" in href
    entries(admin_page).first.get_by_role("link", name=re.compile("^Event")).click()
    expect(admin_page).to_have_url(re.compile(f"/explore/{bucket.name}/events/"))


def test_hostile_events_are_text(admin_page: Page, bucket: TestBucket) -> None:
    bucket.record({"action": f"x.{SCRIPT}", "actor": {"id": "\u202e" + SCRIPT, "name": SCRIPT}, "message": SCRIPT})
    bucket.record({"message": "y" * 200_000})
    admin_page.goto(f"/audit/{bucket.name}")
    expect(entries(admin_page)).to_have_count(2)
    assert admin_page.title().startswith("Audit of")
    shown = admin_page.locator("#audit-trail").inner_text()
    assert SCRIPT in shown
    assert "\u202e" not in shown
    assert len(shown) < 3_000


def test_the_audit_of_the_server_is_for_those_who_may_read_it(
    opened: Opened, admin_page: Page, shared_server: Server, user: Person
) -> None:
    admin_page.goto("/audit")
    expect(admin_page).to_have_url(re.compile("/audit/_audit$"))
    wait_for_record(shared_server, user.id)
    admin_page.reload()
    expect(entries(admin_page).filter(has_text=f"made user {user.username}")).to_have_count(1)
    page = opened.page_of(user)
    opened.watch(page).forgive("404")
    answer = page.goto("/audit/_audit")
    assert answer
    assert answer.status == 404
    page.goto("/audit")
    expect(page.get_by_text("no bucket yet")).to_be_visible()


def test_a_filter_that_cannot_be_read_says_so(admin_page: Page, opened: Opened, bucket: TestBucket) -> None:
    opened.watch(admin_page).forgive("400")
    answer = admin_page.goto(f"/audit/{bucket.name}?since=whenever")
    assert answer
    assert answer.status == 400
    expect(admin_page.get_by_role("alert").first).to_contain_text("whenever")
