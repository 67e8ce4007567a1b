"""Saved searches in a browser: saved, opened by their link, shared, renamed, deleted."""

from __future__ import annotations

from urllib.parse import urlsplit

from playwright.sync_api import Page, expect

from tests.e2e.conftest import TestBucket
from tests.e2e.console.conftest import Opened, recorded
from tests.support.people import Person, person
from tests.support.server import Server


def save(page: Page, name: str, *, shared: bool = False) -> None:
    menu(page)
    page.get_by_label("Save this search as").fill(name)
    if shared:
        page.get_by_label("Shared with all who may read").check()
    page.locator(".saved-new").get_by_role("button", name="Save").click()


def menu(page: Page) -> None:
    """Open it."""
    if page.locator("details.saved[open]").count() == 0:
        page.locator("details.saved > summary").click()
    expect(page.locator("#saved-list")).not_to_contain_text("Loading")


def reader(server: Server, bucket: TestBucket) -> Person:
    """A user who may read the bucket."""
    someone = person(server)
    answer = bucket.client.put(f"{bucket.path}/grants/{someone.id}", json={"permissions": ["read"]})
    assert answer.status_code == 200, answer.text
    return someone


def link_to(page: Page, name: str) -> str:
    menu(page)
    href = page.locator("#saved-list").get_by_role("link", name=name).get_attribute("href")
    assert href
    return href


def test_a_search_is_saved_and_opened_again_by_its_link(opened: Opened, admin_page: Page, bucket: TestBucket) -> None:
    recorded(bucket, 40)
    page = admin_page
    page.goto(f"/explore/{bucket.name}?since=24h&level=error&columns=time,message")
    found = page.locator("#events > .event")
    expect(found).to_have_count(5)
    save(page, "errors <b>of</b> today")
    expect(page.locator("#saved-list")).to_contain_text("Saved.")
    expect(page.get_by_label("Save this search as")).to_have_value("")
    link = link_to(page, "errors <b>of</b> today")

    page.goto(f"/explore/{bucket.name}")
    expect(found).to_have_count(40)
    page.goto(link)
    expect(found).to_have_count(5)
    there = urlsplit(page.url)
    assert (there.path, there.query) == (f"/explore/{bucket.name}", "since=24h&level=error&columns=time%2Cmessage")


def test_a_shared_search_is_there_for_other_readers_and_a_private_one_is_not(
    opened: Opened, admin_page: Page, bucket: TestBucket, shared_server: Server
) -> None:
    recorded(bucket, 8)
    admin_page.goto(f"/explore/{bucket.name}?level=error")
    save(admin_page, "private")
    expect(admin_page.locator("#saved-list")).to_contain_text("private")
    save(admin_page, "for all", shared=True)
    expect(admin_page.locator("#saved-list")).to_contain_text("for all")
    private, shared = link_to(admin_page, "private"), link_to(admin_page, "for all")

    other = opened.page_of(reader(shared_server, bucket))
    opened.watch(other).forgive("status of 404")
    other.goto(f"/explore/{bucket.name}")
    menu(other)
    expect(other.locator("#saved-list")).to_contain_text("Shared by others")
    expect(other.locator("#saved-list")).not_to_contain_text("private")
    expect(other.locator("#saved-list").get_by_role("button")).to_have_count(0)
    other.goto(shared)
    expect(other.locator("#events > .event")).to_have_count(1)
    answer = other.goto(private)
    assert answer is not None
    assert answer.status == 404


def test_a_search_is_renamed_and_deleted_after_a_question(admin_page: Page, bucket: TestBucket) -> None:
    page, listed = admin_page, admin_page.locator("#saved-list")
    page.goto(f"/explore/{bucket.name}?q=timeout")
    save(page, "slow")
    expect(listed).to_contain_text("slow")
    listed.locator("summary").click()
    listed.get_by_label("Name").fill("time-outs")
    listed.get_by_role("button", name="Change").click()
    expect(listed.get_by_role("link", name="time-outs")).to_be_visible()

    listed.locator("summary").click()
    listed.get_by_role("button", name="Delete").click()
    page.locator("#confirm").get_by_role("button", name="Delete").click()
    menu(page)
    expect(listed).to_contain_text("No searches are saved")


def test_a_name_that_is_taken_is_said_and_changes_nothing(opened: Opened, admin_page: Page, bucket: TestBucket) -> None:
    opened.watch(admin_page).forgive("status of 422")
    admin_page.goto(f"/explore/{bucket.name}?level=error")
    save(admin_page, "errors")
    expect(admin_page.locator("#saved-list")).to_contain_text("Saved.")
    save(admin_page, "errors")
    expect(admin_page.locator("#saved-list [role=alert]")).to_contain_text("already")
    expect(admin_page.locator("#saved-list li")).to_have_count(1)
