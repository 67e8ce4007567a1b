"""From the first start to a signed-in administrator, and out again; passwords that are wrong, forgotten, changed."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.console.conftest import Opened
from tests.support.browser import Watch, signed_in
from tests.support.openid_provider import OpenIdProvider
from tests.support.people import PASSWORD, Person, link_in, newest_mail, person
from tests.support.server import Server

OTHER = "nine lamps beside the quay"


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Server]:
    """A server that nobody has signed in to yet."""
    server = Server(tmp_path / "data")
    try:
        yield server.start()
    finally:
        server.close()


def test_the_first_start_leads_to_an_administrator(fresh: Server, browser: object, tmp_path: Path) -> None:
    with Opened(browser, fresh).all_closed() as pages:  # type: ignore[arg-type]  # the fixture's own type
        page = pages.page()
        page.goto("/")
        expect(page.get_by_role("heading", name="Headrace is running")).to_be_visible()
        command = page.locator("#first-user").inner_text()
        made = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
        page.goto(json.loads(made.stdout)["setup_url"])
        page.get_by_label("New password").fill(PASSWORD)
        page.get_by_role("button", name="Set the password").click()
        page.get_by_role("link", name="To the sign-in").click()
        expect(page.get_by_role("heading", name="Headrace is running")).to_have_count(0)
        ada = Person("", "ada", "", "")
        expect(signed_in(page, ada).get_by_role("heading", level=1)).to_have_text("Overview")


def test_without_a_session_one_signs_in_and_is_where_one_wanted_to_go(page: Page, user: Person) -> None:
    page.goto("/account?saved=profile")
    assert parse_qs(urlsplit(page.url).query)["next"] == ["/account?saved=profile"]
    page.get_by_label("User name or e-mail address").fill(f"{user.username}@example.com")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Your account")).to_be_visible()
    assert page.url.endswith("/account?saved=profile")
    page.goto("/sign-in?next=/account")
    assert urlsplit(page.url).path == "/account"


@pytest.mark.parametrize(
    "wanted",
    ["https://evil.example", "//evil.example", "/\\evil.example", "/%0d%0aset-cookie:a=b", "javascript:alert(1)",
     "/\t/evil.example", "\\\\evil.example", "/sign-out", "evil"],
)  # fmt: skip
def test_the_way_on_leads_nowhere_else(shared_server: Server, user: Person, wanted: str) -> None:
    with shared_server.client(key="") as browser:
        form = {"username": user.username, "password": PASSWORD, "next": wanted}
        answer = browser.post("/sign-in", data=form, headers={"origin": shared_server.url})
    assert answer.status_code == 303
    assert answer.headers["location"] in ("/", "/%0d%0aset-cookie:a=b")
    assert "a=b" not in answer.headers["set-cookie"]


def test_a_wrong_password_says_so_and_keeps_the_name(page: Page, watch: Watch, user: Person) -> None:
    watch.forgive("401")
    page.goto("/sign-in")
    page.get_by_label("User name or e-mail address").fill(user.username)
    page.get_by_label("Password", exact=True).fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("The user name or the password is wrong.")
    expect(page.get_by_label("User name or e-mail address")).to_have_value(user.username)
    expect(page.get_by_label("Password", exact=True)).to_have_value("")
    expect(page.get_by_label("Password", exact=True)).to_be_focused()


def test_a_password_can_be_looked_at(page: Page) -> None:
    page.goto("/sign-in")
    page.get_by_label("Password", exact=True).fill("secret")
    page.get_by_label("Show the password").check()
    expect(page.get_by_label("Password", exact=True)).to_have_attribute("type", "text")


@pytest.fixture
def user_page(opened: Opened, user: Person) -> Page:
    """Signed in through the form, and at the overview."""
    return signed_in(opened.page(), user)


def test_signing_out_ends_the_session(user_page: Page, shared_server: Server) -> None:
    cookies = {cookie["name"]: cookie["value"] for cookie in user_page.context.cookies()}  # type: ignore[typeddict-item]  # both are there
    user_page.locator(".bar-account").click()
    user_page.get_by_role("button", name="Sign out").click()
    expect(user_page.get_by_role("status").first).to_have_text("You are signed out.")
    user_page.goto("/account")
    assert urlsplit(user_page.url).path == "/sign-in"
    with shared_server.client(key="") as kept:
        kept.cookies.update(cookies)
        assert kept.get("/account").status_code == 303


def test_who_is_disabled_is_out_within_5_seconds(admin: Person, user: Person, shared_server: Server) -> None:
    with shared_server.client(key="") as browser, shared_server.client() as root:
        _enter(browser, shared_server, user)
        assert browser.get("/account").status_code == 200
        root.patch(f"/v1/users/{user.id}", json={"disabled": True}).raise_for_status()
        assert browser.get("/account").status_code == 303  # the same process: at once


def test_a_part_of_a_page_sends_the_whole_page_to_the_sign_in(shared_server: Server) -> None:
    with shared_server.client(key="") as browser:
        headers = {"hx-request": "true", "hx-current-url": f"{shared_server.url}/explore/default?q=a"}
        answer = browser.get("/account", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["hx-redirect"] == "/sign-in?next=/explore/default%3Fq%3Da"


def test_a_forgotten_password_is_replaced_by_mail(
    page: Page, watch: Watch, user: Person, shared_server: Server
) -> None:
    watch.forgive("422")
    page.goto("/sign-in")
    page.get_by_role("link", name="Forgot the password?").click()
    page.get_by_label("E-mail address").fill(f"{user.username}@example.com")
    page.get_by_role("button", name="Send the link").click()
    expect(page.get_by_role("status").first).to_contain_text("a mail is on its way")
    page.goto(link_in(newest_mail(shared_server, f"{user.username}@example.com")))
    assert "token" not in page.url
    page.get_by_label("New password").fill("short")
    page.get_by_role("button", name="Set the new password").click()
    expect(page.locator("#wrong")).to_contain_text("10")
    page.get_by_label("New password").fill(OTHER)
    page.get_by_role("button", name="Set the new password").click()
    expect(page.get_by_role("heading", name="Your password is set")).to_be_visible()
    signed_in(page, user, password=OTHER)


def test_a_new_password_ends_all_other_sessions(user_page: Page, user: Person, shared_server: Server) -> None:
    with shared_server.client(key="") as elsewhere:
        _enter(elsewhere, shared_server, user)
        user_page.goto("/account")
        form = user_page.locator("form[action='/account/password']")
        form.get_by_label("Current password").fill(PASSWORD)
        form.get_by_label("New password", exact=True).fill(OTHER)
        form.get_by_role("button", name="Change the password").click()
        expect(user_page.get_by_role("status").first).to_contain_text("Your password is changed")
        assert elsewhere.get("/account").status_code == 303
    user_page.goto("/account")
    expect(user_page.get_by_role("heading", name="Your account")).to_be_visible()


def test_ones_own_name_is_changed(user_page: Page) -> None:
    user_page.goto("/account")
    form = user_page.locator("form[action='/account/profile']")
    form.get_by_label("First name").fill("<b>Ada</b>")
    form.get_by_role("button", name="Save").click()
    expect(user_page.get_by_role("status").first).to_have_text("Saved.")
    expect(user_page.get_by_label("First name")).to_have_value("<b>Ada</b>")


def test_another_address_needs_the_password(user_page: Page, opened: Opened) -> None:
    opened.watch(user_page).forgive("422")
    user_page.goto("/account")
    form = user_page.locator("form[action='/account/profile']")
    form.get_by_label("E-mail address").fill("another@example.com")
    form.get_by_role("button", name="Save").click()
    expect(user_page.get_by_label("Current password").first).to_have_attribute("aria-invalid", "true")
    expect(user_page.get_by_label("E-mail address")).to_have_value("another@example.com")


def test_the_colours_can_be_chosen_and_stay(user_page: Page) -> None:
    user_page.locator(".bar-account").click()
    user_page.get_by_label("Dark").check()
    assert user_page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 20, 24)"
    user_page.goto("/account")
    assert user_page.locator("html").get_attribute("data-theme") == "dark"


@pytest.mark.parametrize(
    ("role", "offered"),
    [("user", {"Buckets", "API keys", "Usage", "Status"}),
     ("manager", {"Buckets", "Users", "API keys", "Usage", "Status"}),
     ("admin", {"Buckets", "Users", "API keys", "Usage", "Dead letters", "Status"})],
)  # fmt: skip
def test_what_one_may_not_do_is_not_offered(shared_server: Server, role: str, offered: set[str]) -> None:
    with shared_server.client(key="") as browser:
        _enter(browser, shared_server, person(shared_server, role=role))
        page = browser.get("/admin/status").text
    side = page.split('aria-label="Administration"')[1].split("</nav>")[0]
    assert set(re.findall(r"<span>([^<]+)</span>", side)) == offered


# --- through an OpenID provider ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIdProvider]:
    with OpenIdProvider() as running:
        yield running


@pytest.fixture(scope="module")
def house(provider: OpenIdProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("console-openid") / "data", env=provider.settings)
    try:
        yield server.start()
    finally:
        server.close()


def test_the_button_of_the_provider_leads_to_the_page_one_wanted(house: Server) -> None:
    with house.client(key="") as browser:
        browser.headers["accept"] = "text/html"
        page = browser.get("/sign-in?next=/account").text
        button = re.search(r'href="(/v1/auth/oidc/login[^"]+)"', page)
        assert button
        sent = httpx2.get(browser.get(button[1].replace("&amp;", "&")).headers["location"])
        back = browser.get(sent.headers["location"])
        assert (back.status_code, back.headers["location"]) == (303, "/account")
        account = browser.get("/account")
        assert account.status_code == 200
        assert "You sign in through your organisation" in account.text


def test_a_sign_in_at_the_provider_that_fails_is_told_as_a_page(house: Server) -> None:
    with house.client(key="") as browser:
        browser.headers["accept"] = "text/html"
        answer = browser.get("/v1/auth/oidc/callback?error=access_denied&state=s")
    assert answer.status_code == 401
    assert "This sign-in did not work" in answer.text
    assert "access_denied" in answer.text


def _enter(browser: httpx2.Client, server: Server, somebody: Person) -> None:
    form = {"username": somebody.username, "password": PASSWORD}
    assert browser.post("/sign-in", data=form, headers={"origin": server.url}).status_code == 303
