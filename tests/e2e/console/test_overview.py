"""The overview in a browser: it moves, it can be paused, it says when nothing comes, and shows each visitor theirs."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from headrace.web.console.pages.overview.figures import written
from tests.e2e.conftest import TestBucket
from tests.e2e.console.conftest import Opened
from tests.support.browser import NARROW
from tests.support.people import Person, person
from tests.support.server import Server

_SECONDS = 30  # a sample comes every 2 s, and machines may be busy
_ACKNOWLEDGED = ".stat-value[data-figure=acknowledged]"


def number(place: Locator) -> int:
    return int(place.inner_text().replace(",", ""))


def state(page: Page) -> Locator:
    return page.locator("[data-live-state]")


def shown_at_least(page: Page, count: int) -> None:
    """Wait until so many are acknowledged on the page. In steps: the policy forbids Playwright's own wait, an eval."""
    deadline = time.monotonic() + _SECONDS
    while (shown := number(page.locator(_ACKNOWLEDGED))) < count:
        assert time.monotonic() < deadline, f"{shown} are shown, {count} were sent"
        page.wait_for_timeout(200)


@pytest.fixture
def overview(admin_page: Page, bucket: TestBucket) -> Page:
    """An administrator's, on a server that has events."""
    bucket.record({"message": "so that there is something"})
    admin_page.goto("/")
    expect(state(admin_page)).to_have_text("live")
    return admin_page


def test_figures_and_charts_move_by_themselves(overview: Page, bucket: TestBucket) -> None:
    before = number(overview.locator(_ACKNOWLEDGED))
    bucket.record(*[{"message": "more"}] * 500)
    shown_at_least(overview, before + 500)
    expect(overview.locator(".chart canvas")).to_have_count(3)
    for value in overview.locator("[data-line-value]").all():
        expect(value).to_have_text(re.compile(r"\d"))


def test_a_pause_holds_the_figures_and_loses_none(overview: Page, bucket: TestBucket) -> None:
    overview.get_by_role("button", name="Pause").click()
    expect(state(overview)).to_contain_text("paused at")
    before = overview.locator(_ACKNOWLEDGED).inner_text()
    bucket.record(*[{"message": "meanwhile"}] * 300)
    overview.wait_for_timeout(5_000)
    assert overview.locator(_ACKNOWLEDGED).inner_text() == before
    overview.get_by_role("button", name="Resume").click()
    expect(state(overview)).to_have_text("live")
    shown_at_least(overview, int(before.replace(",", "")) + 300)


def test_the_figures_are_there_as_a_table_too(overview: Page) -> None:
    overview.get_by_text("The same as a table").click()
    rows = overview.locator("[data-as-table] tbody tr")
    expect(rows.first).to_be_visible()
    expect(rows.first.locator("td")).to_have_text([re.compile(r"\d")] * 5)


def test_the_range_is_kept_for_the_next_visit(overview: Page) -> None:
    overview.locator(".range", has_text="1 h").click()
    overview.reload()
    expect(overview.get_by_label("1 h")).to_be_checked()


@pytest.mark.parametrize("form", ["rate", "seconds", "count", "size"])
def test_scripts_write_figures_as_the_server_does(overview: Page, form: str) -> None:
    values = [0, 0.004, 0.04, 0.3, 0.99, 0.996, 1, 9.96, 42, 89.9, 90, 99.94, 99.96, 1_023, 1_024, 5_400, 12e5, 5e12]
    found = overview.evaluate("([values, form]) => values.map(value => Figures.written(value, form))", [values, form])
    assert found == [written(value, form) for value in values]


def test_storage_shows_each_bucket_with_its_events(overview: Page, bucket: TestBucket) -> None:
    row = overview.locator("#panel-buckets tbody tr", has_text=bucket.name)
    expect(row.locator("td").first).to_have_text("1")
    bucket.record({"message": "a"}, {"message": "b"})
    expect(row.locator("td").first).to_have_text("3")  # asked again every 10 s
    row.get_by_role("link").click()
    expect(overview).to_have_url(re.compile(f"/explore/{bucket.name}"))


def test_a_user_sees_the_buckets_that_are_granted_and_nothing_of_the_server(
    opened: Opened, user: Person, bucket: TestBucket, client: httpx2.Client
) -> None:
    bucket.record({"message": "theirs"})
    granted = client.put(f"{bucket.path}/grants/{user.id}", json={"permissions": ["read"]})
    assert granted.status_code in (200, 201, 204), granted.text
    page = opened.page_of(user)
    page.goto("/")
    expect(page.locator("#panel-buckets tbody tr")).to_have_count(1)
    expect(page.locator("#panel-buckets tbody th")).to_have_text(bucket.name)
    expect(page.locator("[data-figure], [data-chart]")).to_have_count(0)
    expect(page.get_by_text("Size, about")).to_have_count(0)
    assert page.request.get("/overview/part/live").status == 403
    assert page.request.get("/overview/part/panels/figures").status == 404
    assert "default" not in page.request.get("/overview/part/panels/buckets").text()


def test_a_user_without_any_bucket_learns_what_to_do(user_page: Page) -> None:
    user_page.goto("/")
    expect(user_page.get_by_text("Ask an administrator")).to_be_visible()
    expect(user_page.get_by_role("link", name="Make a bucket")).to_have_count(0)


def test_a_manager_without_any_bucket_is_offered_to_make_one(manager_page: Page) -> None:
    manager_page.goto("/")
    expect(manager_page.get_by_role("link", name="Make a bucket")).to_be_visible()


def test_nothing_moves_any_more_for_who_signed_out_elsewhere(overview: Page, opened: Opened) -> None:
    # Whichever it asks for first leads to the sign-in: a busy machine asks for a panel.
    opened.watch(overview).forgive("EventSource's response|status of 401 .*/overview/part/panels/")
    other = overview.context.new_page()
    other.goto("/account")
    other.locator("details[data-menu] summary").click()
    other.get_by_role("banner").get_by_role("button", name="Sign out").click()
    expect(overview).to_have_url(re.compile("/sign-in"))


# --- on a server of its own ---------------------------------------------------------------------------------------


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "data")
    try:
        yield server.start()
    finally:
        server.close()


def test_a_new_server_shows_how_to_send_the_first_event_and_changes_when_it_comes(
    browser: Browser, new_server: Server
) -> None:
    with Opened(browser, new_server).all_closed() as opened:
        page = opened.page_of(person(new_server, role="admin"), NARROW)
        page.goto("/")
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.get_by_role("button", name="Copy").click()
        command = page.evaluate("navigator.clipboard.readText()")
        assert command.startswith(f"curl {new_server.url}/v1/buckets/default/events")
        env = {**os.environ, "KEY": new_server.key}
        sent = subprocess.run(["sh", "-c", command], env=env, capture_output=True, text=True, check=True)
        assert '"id"' in sent.stdout, sent.stdout
        row = page.locator("#panel-buckets tbody tr", has_text="default")
        expect(row.locator("td").first).to_have_text("1")
        expect(state(page)).to_have_text("live")


def test_it_says_so_while_the_server_is_away_and_goes_on_when_it_is_back(browser: Browser, new_server: Server) -> None:
    with new_server.client() as client:
        client.post("/v1/buckets/default/events?ack=stored", json={"message": "x"})
    with Opened(browser, new_server).all_closed() as opened:
        page = opened.page_of(person(new_server, role="admin"))
        opened.watch(page).forgive("ERR_|Failed to load|htmx:(sendError|afterRequest)")
        page.goto("/")
        expect(state(page)).to_have_text("live")
        assert new_server.stop() == 0  # an open stream does not hold it up
        expect(state(page)).to_contain_text("offline since")
        new_server.start()
        expect(state(page)).to_have_text("live")
        expect(page.locator(_ACKNOWLEDGED)).to_have_text("0")
        expect(page.locator(".toast")).to_have_count(0)
