"""The administration as people use it: keys, buckets, grants, users, each for those who may."""

from __future__ import annotations

import json
import re
import subprocess
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import TestBucket
from tests.e2e.console.conftest import Opened, recorded, signed_in
from tests.support.browser import Watch
from tests.support.people import PASSWORD, Person, person, unused_name
from tests.support.server import Server

REFUSED = "status of 4(09|22) "


@pytest.fixture
def name() -> str:
    return f"c-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def made(client: httpx2.Client, name: str) -> Iterator[str]:
    """The name of a bucket that a test makes itself."""
    yield name
    client.delete(f"/v1/buckets/{name}", params={"confirm": name})


def grant(client: httpx2.Client, bucket: TestBucket, to: Person, *permissions: str) -> None:
    given = client.put(f"{bucket.path}/grants/{to.id}", json={"permissions": permissions})
    assert given.status_code == 200, given.text


def said(page: Page, text: str) -> None:
    expect(page.locator("#toasts")).to_contain_text(text)


def confirm(page: Page, *, word: str = "") -> None:
    """Go on, in the dialog that asks."""
    dialog = page.locator("#confirm")
    expect(dialog).to_be_visible()
    if word:
        expect(dialog.locator("#confirm-yes")).to_be_disabled()
        dialog.locator("#confirm-input").fill(word)
    dialog.locator("#confirm-yes").click()


# --- API keys -----------------------------------------------------------------------------------------------------


def test_a_key_is_shown_once_works_in_the_line_that_is_shown_and_is_dead_once_revoked(
    admin_page: Page, bucket: TestBucket
) -> None:
    page = admin_page
    page.goto(f"/admin/keys/new?bucket={bucket.name}")
    page.get_by_label("What uses it?").fill("deploy <b>robot</b>")
    page.locator(f"input[name=grant][value='{bucket.name}:read']").check()
    page.get_by_role("button", name="Make the key").click()
    key = page.locator("#key").inner_text()
    assert key.startswith("hr_")
    assert key not in page.url
    line = page.locator("#curl-write").inner_text()
    sent = subprocess.run(["bash", "-c", f"{line} --silent --fail"], capture_output=True, text=True, check=True)
    assert json.loads(sent.stdout)["id"]
    read = {"Authorization": f"Bearer {key}"}
    address = f"{bucket.client.base_url}{bucket.path}/events".replace("//v1", "/v1")
    assert httpx2.get(address, headers=read).status_code == 200

    page.get_by_role("link", name="I have copied it").click()
    row = page.get_by_role("row", name="deploy <b>robot</b>")
    expect(row).to_contain_text(bucket.name)
    assert key not in page.content()
    row.get_by_role("link", name="Revoke").click()
    expect(page.locator("#confirm-title")).to_contain_text("deploy <b>robot</b>")
    confirm(page)
    said(page, "revoked")
    expect(row).to_have_count(0)
    assert httpx2.get(address, headers=read).status_code == 401


def test_what_is_wrong_with_a_key_stands_at_its_field_and_what_was_typed_stays(
    admin_page: Page, bucket: TestBucket, opened: Opened
) -> None:
    opened.watch(admin_page).forgive(REFUSED)
    page = admin_page
    page.goto(f"/admin/keys/new?bucket={bucket.name}")
    page.locator(f"input[name=grant][value='{bucket.name}:manage']").check()
    page.get_by_label("Expires").select_option("day")
    page.get_by_label("Day of expiry").fill("2001-01-01")
    page.get_by_label("at most").fill("lots")
    page.get_by_role("button", name="Make the key").click()
    expect(page.locator("#day-error")).to_contain_text("today or later")
    expect(page.locator("#rate_limit-error")).to_contain_text("whole number")
    expect(page.get_by_label("at most")).to_have_value("lots")
    expect(page.locator(f"input[name=grant][value='{bucket.name}:manage']")).to_be_checked()
    page.get_by_label("Expires").select_option("7")
    page.get_by_label("at most").fill("10")
    page.get_by_role("button", name="Make the key").click()
    expect(page.locator("#name-error")).to_be_visible()
    expect(page.get_by_label("What uses it?")).to_be_focused()


def test_everybody_sees_their_own_keys_and_buckets_and_is_offered_no_more(
    client: httpx2.Client, bucket: TestBucket, user: Person, user_page: Page, manager_page: Page, opened: Opened
) -> None:
    theirs = client.post("/v1/keys", json={"name": f"key {bucket.name}", "grants": []}).json()
    client.post("/v1/buckets", json={"name": f"{bucket.name}-other"})
    grant(client, bucket, user, "read")
    for page in (user_page, manager_page):
        page.goto("/admin/keys?whose=all")
        expect(page.locator("main")).to_contain_text("No key yet")
        expect(page.get_by_role("link", name="Everybody")).to_have_count(0)
        opened.watch(page).forgive("status of 40[34] ")
        answer = page.goto(f"/admin/keys/{theirs['id']}/revoke")
        assert answer
        assert answer.status == 404
        answer = page.goto("/admin/dead-letters")
        assert answer
        assert answer.status == 403
        answer = page.goto(f"/admin/buckets/{bucket.name}-other")
        assert answer
        assert answer.status == 404
    user_page.goto("/admin/buckets")
    expect(user_page.locator("tbody tr")).to_have_count(1)
    user_page.get_by_role("link", name=bucket.name, exact=True).click()
    for heading in ("Settings", "Who may do what here", "Send events here", "Delete"):
        expect(user_page.get_by_role("heading", name=heading)).to_have_count(0)
    user_page.goto("/admin/keys/new")
    expect(user_page.locator("input[name=grant]")).to_have_count(1)
    manager_page.goto("/admin/buckets")
    expect(manager_page.locator("main")).to_contain_text("No bucket is open to you yet")
    client.delete(f"/v1/buckets/{bucket.name}-other", params={"confirm": f"{bucket.name}-other"})


# --- Buckets and grants -------------------------------------------------------------------------------------------


def test_a_manager_makes_a_bucket_keeps_it_for_30_days_and_deletes_it(
    manager_page: Page, made: str, opened: Opened
) -> None:
    opened.watch(manager_page).forgive(REFUSED)
    page = manager_page
    page.goto("/admin/buckets")
    page.get_by_role("link", name="New bucket").click()
    page.get_by_label("Name").fill("Not a name")
    page.get_by_role("button", name="Make the bucket").click()
    expect(page.locator("#name-error")).to_contain_text("Must be 1 to 63")
    page.get_by_label("Name").fill(made)
    page.get_by_label("What is it for?").fill("<script>alert(1)</script>")
    page.get_by_role("button", name="Make the bucket").click()
    said(page, "The bucket is there")
    expect(page.get_by_role("heading", name=made, exact=True)).to_be_visible()
    page.get_by_label("Keep events for").fill("30")
    page.get_by_label("Bytes a day").fill("1.5")
    page.get_by_role("button", name="Save").click()
    said(page, "Saved")
    expect(page.get_by_label("Keep events for")).to_have_value("30")
    expect(page.get_by_label("Bytes a day")).to_have_value("1.5")
    page.get_by_role("link", name=f"Delete {made}").click()
    confirm(page, word=made)
    said(page, "gone")
    expect(page.get_by_role("link", name=made)).to_have_count(0)


def test_a_retention_that_would_delete_what_is_there_asks_first(admin_page: Page, bucket: TestBucket) -> None:
    recorded(bucket, 3, lambda number: {"time": f"2020-01-0{number + 1}T00:00:00Z", "message": "old"})
    page = admin_page
    page.goto(f"/admin/buckets/{bucket.name}")
    page.get_by_label("Keep events for").fill("30")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".ask")).to_contain_text("3 events are older than 30 days")
    assert "retention_days" not in bucket.client.get(bucket.path).json()
    page.get_by_role("button", name="Save, and delete them").click()
    said(page, "Saved")
    assert bucket.client.get(bucket.path).json()["retention_days"] == 30


def test_a_grant_is_given_by_name_changed_taken_away_and_given_back(
    manager_page: Page, manager: Person, client: httpx2.Client, bucket: TestBucket, user: Person
) -> None:
    grant(client, bucket, manager, "manage")
    page = manager_page
    page.goto(f"/admin/buckets/{bucket.name}")
    page.get_by_label("Give access to").press_sequentially(user.username[:-1])
    expect(page.locator(f"#people option[value='{user.username}']")).to_have_count(1)
    page.get_by_label("Give access to").fill(user.username)
    page.get_by_label("They may").select_option("write")
    page.get_by_role("button", name="Give access").click()
    said(page, "counts within 5 seconds")
    row = page.get_by_role("row", name=user.username)
    row.get_by_role("combobox").select_option("read")
    with page.expect_navigation():
        row.get_by_role("button", name="Change").click()
    expect(row.get_by_role("combobox")).to_have_value("read")

    def may() -> list[str]:
        found = client.get(f"{bucket.path}/grants").json()["grants"]
        return next((one["permissions"] for one in found if one["user"] == user.id), [])

    assert may() == ["read"]
    row.get_by_role("button", name="Take away").click()
    expect(page.locator(".undo")).to_contain_text(f"{user.username} may do nothing here any more")
    assert may() == []
    with page.expect_navigation():
        page.locator(".undo").get_by_role("button", name="Undo").click()
    expect(row).to_have_count(1)
    assert may() == ["read"]


def test_nobody_of_that_name_is_told_at_the_field(admin_page: Page, bucket: TestBucket, opened: Opened) -> None:
    opened.watch(admin_page).forgive(REFUSED)
    admin_page.goto(f"/admin/buckets/{bucket.name}")
    admin_page.get_by_label("Give access to").fill("nobody-at-all")
    admin_page.get_by_role("button", name="Give access").click()
    expect(admin_page.locator("#who-error")).to_contain_text("nobody-at-all")
    expect(admin_page.get_by_label("Give access to")).to_have_value("nobody-at-all")


# --- Users --------------------------------------------------------------------------------------------------------


def test_a_user_is_made_chooses_a_password_by_the_link_is_disabled_enabled_and_deleted(
    admin_page: Page, opened: Opened, shared_server: Server
) -> None:
    page, username = admin_page, unused_name()
    page.goto("/admin/users/new")
    page.get_by_label("Username").fill(username)
    page.get_by_role("button", name="Make the user").click()
    link = page.locator("#setup-link").inner_text()
    assert "token=" in link
    assert "token=" not in page.url

    visitor = opened.page()
    visitor.goto(link)
    visitor.locator("input[type=password]").first.fill(PASSWORD)
    visitor.locator("main button[type=submit]").first.click()
    visitor.wait_for_function("!location.search.includes('token') && !document.querySelector('#password:focus')")
    expect(visitor.locator("body")).to_contain_text(re.compile("sign in|signed in|set", re.IGNORECASE))
    newcomer = signed_in(opened.page(), Person("", username, "", ""))
    opened.watch(newcomer).forgive("status of 401 ")

    page.get_by_role("link", name=f"Go to {username}").click()
    assert link not in page.content()
    page.get_by_role("button", name="Disable").click()
    said(page, "signed out everywhere")
    newcomer.goto("/admin/keys")
    assert urlsplit(newcomer.url).path == "/sign-in"
    page.get_by_role("button", name="Enable").click()
    said(page, "sign in again")
    page.get_by_label("Role").select_option("manager")
    page.get_by_label("Events a second").fill("250")
    page.get_by_role("button", name="Save").click()
    said(page, "Saved")
    expect(page.get_by_label("Events a second")).to_have_value("250")
    page.get_by_role("link", name=f"Delete {username}").click()
    confirm(page, word=username)
    said(page, "gone")
    with shared_server.client() as client:
        assert client.get("/v1/users", params={"q": username}).json()["users"] == []


def test_a_username_that_is_taken_is_told_at_its_field(
    admin_page: Page, user: Person, opened: Opened
) -> None:
    opened.watch(admin_page).forgive(REFUSED)
    admin_page.goto("/admin/users/new")
    admin_page.get_by_label("Username").fill(user.username)
    admin_page.get_by_label("First name").fill("Ada")
    admin_page.get_by_role("button", name="Make the user").click()
    expect(admin_page.locator("#username-error")).to_contain_text("already")
    expect(admin_page.get_by_label("First name")).to_have_value("Ada")


def test_users_are_found_and_a_manager_sees_them_without_changing_any(manager_page: Page, user: Person) -> None:
    page = manager_page
    page.goto("/admin/users")
    page.get_by_label("Find users").fill(user.username)
    page.get_by_role("button", name="Find").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name=user.username).click()
    expect(page.get_by_role("heading", name=user.username)).to_be_visible()
    expect(page.locator("main form")).to_have_count(0)
    expect(page.get_by_role("link", name="Delete")).to_have_count(0)


# --- Status, without JavaScript ---------------------------------------------------------------------------------------


def test_usage_and_status_show_figures(admin_page: Page, bucket: TestBucket) -> None:
    recorded(bucket, 7)
    bucket.client.patch(bucket.path, json={"quota": {"bytes_per_day": 1_000_000}})
    admin_page.goto("/admin/usage")
    row = admin_page.get_by_role("row", name=bucket.name)
    expect(row).to_contain_text("7")
    expect(row.locator("meter")).to_be_visible()
    admin_page.goto("/admin/status")
    expect(admin_page.locator("#figures")).to_contain_text("ready")
    admin_page.get_by_role("link", name="Sign with a new key").click()
    admin_page.get_by_role("button", name="Sign with a new key").click()
    said(admin_page, "new key")


def test_everything_works_without_javascript(
    opened: Opened, shared_server: Server, bucket: TestBucket, user: Person
) -> None:
    page = opened.page_of(person(shared_server, role="admin"), java_script_enabled=False)
    opened.watch(page).forgive(REFUSED)
    page.goto(f"/admin/keys/new?bucket={bucket.name}")
    page.get_by_role("button", name="Make the key").click()
    expect(page.locator("#name-error")).to_be_visible()
    page.get_by_label("What uses it?").fill(bucket.name)
    page.get_by_role("button", name="Make the key").click()
    expect(page.locator("#key")).to_contain_text("hr_")
    page.goto("/admin/keys")
    page.get_by_role("link", name="Revoke").click()
    page.get_by_role("button", name="Revoke the key").click()
    expect(page.locator("main")).to_contain_text("The key is revoked")
    page.goto(f"/admin/buckets/{bucket.name}")
    page.get_by_label("Give access to").fill(user.username)
    page.get_by_role("button", name="Give access").click()
    page.get_by_role("button", name="Take away").click()
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("link", name=f"Delete {bucket.name}").click()
    page.get_by_label("to confirm").fill("another")
    page.get_by_role("button", name="Delete the bucket").click()
    expect(page.locator("#confirm-error")).to_be_visible()
    page.get_by_label("to confirm").fill(bucket.name)
    page.get_by_role("button", name="Delete the bucket").click()
    expect(page.locator("main")).to_contain_text("The bucket is gone")


def test_what_is_shown_once_is_kept_nowhere(admin_page: Page, bucket: TestBucket, opened: Opened) -> None:
    watch: Watch = opened.watch(admin_page)
    page = admin_page
    page.goto(f"/admin/keys/new?bucket={bucket.name}")
    page.get_by_label("What uses it?").fill("once")
    with page.expect_response(lambda answer: answer.request.method == "POST") as posted:
        page.get_by_role("button", name="Make the key").click()
    assert posted.value.headers["cache-control"] == "no-store"
    key = page.locator("#key").inner_text()
    stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, history.state, document.cookie])")
    assert key not in stored
    page.goto("/admin/keys")
    page.go_back()
    expect(page.locator("#key")).to_have_count(0)
    assert not any(key in url for url in watch.requested)
