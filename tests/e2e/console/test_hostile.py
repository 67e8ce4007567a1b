"""What events and people's names contain is text: nothing of it runs, asks anybody, or keeps a page from being used."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import Dialog, Page, expect

from tests.e2e.conftest import TestBucket
from tests.e2e.console import hostile
from tests.e2e.console.conftest import Opened, recorded
from tests.support.browser import Watch
from tests.support.people import PASSWORD, Person, unused_name
from tests.support.server import Server

_MADE_OF_DATA = """() => [...document.querySelectorAll(`
    [onerror], [onload], [onfocus], [onclick], iframe, object, base, meta[http-equiv=refresh], body style,
    body script:not([src]), body meta,
    [href^="javascript" i], [src^="javascript" i], [action^="javascript" i], [href^="data:text" i],
    [src*="evil.example"], [href*="//evil.example" i]:not([href^="/"]), [action*="evil.example"],
    [hx-get="/v1/users"], [hx-on\\\\:load]`)].map(element => element.outerHTML.slice(0, 200))"""
_MOST_ELEMENTS = 20_000  # a phone lays these out in about half a second


@pytest.fixture
def page(opened: Opened, admin: Person) -> Iterator[Page]:
    """An administrator's, who is never asked anything by a dialog of the browser."""
    page = opened.page_of(admin)
    dialogs: list[str] = []

    def refused(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", refused)
    yield page
    assert not dialogs


@pytest.fixture
def watch(opened: Opened, page: Page) -> Watch:
    return opened.watch(page)


def assert_inert(page: Page) -> None:
    """The page is ours alone, can be seen, and is not wider than the window."""
    expect(page.locator("main h1").first).to_be_visible()
    page.wait_for_timeout(100)
    assert page.evaluate(_MADE_OF_DATA) == []
    assert hostile.CANARY not in page.title()
    sideways = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert sideways <= 0, f"{sideways} px wider than the window"
    assert page.evaluate("() => document.getElementsByTagName('*').length") < _MOST_ELEMENTS


def path_of(bucket: TestBucket, id: str = "", query: str = "") -> str:
    return f"/explore/{bucket.name}{f'/events/{id}' if id else ''}?since=24h{query}"


@pytest.fixture
def attacked(bucket: TestBucket) -> TestBucket:
    recorded(bucket, len(hostile.TEXTS), hostile.events().__getitem__)
    return bucket


def test_hostile_events_are_a_list_of_text(page: Page, attacked: TestBucket) -> None:
    page.goto(path_of(attacked))
    expect(page.locator("#events > .event")).to_have_count(len(hostile.TEXTS))
    expect(page.locator("#events")).to_contain_text(hostile.TEXTS["script"])
    assert_inert(page)


def test_marks_stand_for_what_would_be_invisible_or_turn_the_page_around(page: Page, attacked: TestBucket) -> None:
    page.goto(path_of(attacked))
    shown = page.locator("#events").inner_text()
    assert not set(shown) & set("\u202e\u2066\u200b\u061c\x1b\x07\x7f\x9b")


def test_each_hostile_event_opens_as_text(page: Page, attacked: TestBucket) -> None:
    for event in attacked.list(limit=100):
        answer = page.goto(path_of(attacked, event["id"]))
        assert answer
        assert answer.status == 200, event
        for width in (390, 1440):
            page.set_viewport_size({"width": width, "height": 900})
            assert_inert(page)


def test_hostile_words_in_a_link_are_only_looked_for(page: Page, attacked: TestBucket, watch: Watch) -> None:
    watch.forgive("status of 400 ")  # a filter may be refused, in words
    for text in hostile.TEXTS.values():
        sent = quote(text[:500], errors="surrogatepass")
        page.goto(path_of(attacked, query=f"&q={sent}&service={sent}&attr.{sent}={sent}&columns={sent}"))
        assert_inert(page)


@pytest.mark.parametrize("make", [hostile.longest_message, hostile.many_attributes, hostile.deep_attributes])
def test_the_largest_events_leave_the_page_usable(page: Page, bucket: TestBucket, make: object) -> None:
    assert callable(make)
    recorded(bucket, 20, lambda _: make())
    page.goto(path_of(bucket))
    rows = page.locator("#events > .event")
    expect(rows).to_have_count(20)
    assert_inert(page)
    rows.first.locator("a").first.click()
    expect(page.locator(".drawer")).to_be_visible()
    assert_inert(page)
    page.keyboard.press("Escape")
    expect(page.locator(".drawer")).to_be_hidden()


def test_hostile_events_are_sentences_in_the_audit_view(page: Page, attacked: TestBucket) -> None:
    page.goto(f"/audit/{attacked.name}")
    assert_inert(page)


def test_names_of_people_keys_and_buckets_are_text(page: Page, shared_server: Server) -> None:
    name, text = unused_name(), hostile.TEXTS["image"]
    with shared_server.client() as client:
        made = client.post("/v1/buckets", json={"name": name, "description": hostile.TEXTS["script"]})
        assert made.status_code == 201, made.text
        person = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
        person_id = client.post("/v1/users", json=person).json()["id"]
        named = client.patch(f"/v1/users/{person_id}", json={"first_name": text[:60], "last_name": "\u202e<b>x"})
        key = client.post("/v1/keys", json={"name": text[:60], "grants": [{"bucket": name, "permissions": ["read"]}]})
        assert {named.status_code, key.status_code} <= {200, 201, 422}, f"{named.text} {key.text}"
        people, buckets = f"/admin/users/{person_id}", f"/admin/buckets/{name}"
        for path in ("/admin/buckets", buckets, "/admin/users", people, "/admin/keys", "/audit/_audit", "/"):
            page.goto(path)
            assert_inert(page)
        client.delete(f"/v1/buckets/{name}", params={"confirm": name})
        client.delete(f"/v1/users/{person_id}")


@pytest.mark.parametrize("next", ["javascript:alert(1)", "//evil.example/", "/\\evil.example", "https://evil.example/"])
def test_signing_in_leads_nowhere_else(opened: Opened, admin: Person, next: str) -> None:
    page = opened.page()
    page.goto(f"/sign-in?next={quote(next)}")
    page.locator("input[name=username]").fill(admin.username)
    page.locator("input[name=password]").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("input[name=password]")).to_have_count(0)
    assert urlsplit(page.url).netloc == urlsplit(opened.server.url).netloc


def test_an_address_that_is_markup_is_a_page_that_says_so(page: Page, watch: Watch) -> None:
    watch.forgive("status of 4")
    for path in ("/explore/<script>alert(1)<", "/<img src=x onerror=alert(1)>", "/explore/default/events/<b>"):
        page.goto(quote(path))
        assert_inert(page)
