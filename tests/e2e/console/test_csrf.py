"""What other sites try with the browser of somebody who is signed in here: forms, frames, planted sessions.

Every route is tried without the token and from elsewhere in test_page_matrix.py; here it is a real browser that decides
what it sends.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.console.conftest import Opened
from tests.support.browser import signed_in
from tests.support.people import PASSWORD, Person
from tests.support.server import Server

COOKIE = "headrace_session"


class EvilSite(ThreadingHTTPServer):
    """Another origin on this machine: `pages` by path."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        super().__init__(("127.0.0.1", 0), partial(_Answers))

    @property
    def url(self) -> str:
        return f"http://localhost:{self.server_address[1]}"  # another site, too: localhost is not 127.0.0.1


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, EvilSite)
        body = self.server.pages.get(self.path, "").encode()
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def evil() -> Iterator[EvilSite]:
    site = EvilSite()
    thread = threading.Thread(target=site.serve_forever, daemon=True)
    thread.start()
    yield site
    site.shutdown()
    site.server_close()


@pytest.fixture
def user_page(opened: Opened, user: Person) -> Page:
    """Signed in through the form, and at the overview."""
    return signed_in(opened.page(), user)


@pytest.fixture
def victim(user_page: Page, opened: Opened) -> Page:
    """Somebody who is signed in, and goes elsewhere."""
    opened.watch(user_page).forgive("")
    return user_page


@pytest.mark.parametrize("path", ["/sign-out", "/account/profile", "/admin/keys/new"])
def test_a_form_of_another_site_changes_nothing(victim: Page, evil: EvilSite, shared_server: Server, path: str) -> None:
    evil.pages["/"] = f"""<form method="post" action="{shared_server.url}{path}"><input name="first_name" value="Eve">
        <input name="name" value="k"><input name="grant" value="default:read"></form>
        <script>document.forms[0].submit()</script>"""
    victim.goto(evil.url)
    victim.wait_for_url(f"{shared_server.url}/**")
    assert urlsplit(victim.url).path == "/"  # Lax: the form came without the cookie, so to nobody's session
    victim.goto(f"{shared_server.url}/account")
    expect(victim.get_by_label("First name")).to_have_value("")


def test_nobody_is_signed_in_by_a_form_of_another_site(
    page: Page, opened: Opened, evil: EvilSite, shared_server: Server, user: Person
) -> None:
    """Or they would write into the account of the attacker (login CSRF)."""
    opened.watch(page).forgive("")
    evil.pages["/"] = f"""<form method="post" action="{shared_server.url}/sign-in">
        <input name="username" value="{user.username}"><input name="password" value="{PASSWORD}"></form>
        <script>document.forms[0].submit()</script>"""
    page.goto(evil.url)
    page.wait_for_url(f"{shared_server.url}/**")
    expect(page.get_by_role("heading", level=1)).to_have_text("Not for you to see or do")
    assert page.context.cookies() == []


@pytest.mark.parametrize("path", ["/", "/sign-in", "/account", "/explore/default", "/reset-password", "/docs"])
def test_no_page_can_be_put_into_a_frame(victim: Page, evil: EvilSite, shared_server: Server, path: str) -> None:
    evil.pages["/"] = f'<iframe src="{shared_server.url}{path}"></iframe>'
    victim.goto(evil.url)
    victim.wait_for_timeout(300)
    framed = victim.frames[1]
    assert not framed.url.startswith(shared_server.url)
    assert framed.locator("main").count() == 0


def test_a_page_of_another_site_reads_nothing(victim: Page, evil: EvilSite, shared_server: Server) -> None:
    evil.pages["/"] = "<title>evil</title>"
    victim.goto(evil.url)
    read = "url => fetch(url, {credentials: 'include'}).then(answer => answer.text(), () => 'refused')"
    assert victim.evaluate(read, f"{shared_server.url}/account") == "refused"


# --- the cookie ---------------------------------------------------------------------------------------------------


def test_the_cookie_is_for_the_server_alone(user_page: Page) -> None:
    (cookie,) = user_page.context.cookies()
    assert cookie["name"] == COOKIE
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", "/")
    assert user_page.evaluate("document.cookie") == ""


def test_over_tls_the_cookie_is_bound_to_the_host_and_to_tls(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", env={"HEADRACE_BASE_URL": "https://headrace.example"})
    try:
        with server.start().client() as root, server.client(key="") as browser:
            root.post("/v1/users", json={"username": "ada", "password": PASSWORD}).raise_for_status()
            form = {"username": "ada", "password": PASSWORD}
            answer = browser.post("/sign-in", data=form, headers={"origin": "https://headrace.example"})
    finally:
        server.close()
    name, *flags = answer.headers["set-cookie"].lower().replace("; ", ";").split(";")
    assert name.startswith("__host-headrace_session=hrb_")
    assert {"secure", "httponly", "samesite=lax", "path=/"} <= set(flags)
    assert not any(flag.startswith("domain=") for flag in flags)


def test_a_planted_session_is_never_taken_over(shared_server: Server, user: Person, admin: Person) -> None:
    """Session fixation: whoever knows the cookie from before the sign-in knows nothing after it."""
    origin = {"origin": shared_server.url}
    with shared_server.client(key="") as attacker, shared_server.client(key="") as browser:
        _enter(attacker, user, origin)
        planted = attacker.cookies[COOKIE]
        browser.cookies.set(COOKIE, planted, domain="127.0.0.1", path="/")
        _enter(browser, admin, origin)
        after = [cookie.value for cookie in browser.cookies.jar if cookie.name == COOKIE]
        assert after != [planted]
        assert attacker.get("/account").status_code == 303  # the one that was planted has ended


def test_a_made_up_session_is_not_adopted(shared_server: Server, user: Person) -> None:
    made_up = "hrb_" + "a" * 32 + "_" + "b" * 43
    with shared_server.client(key="") as browser:
        browser.cookies.set(COOKIE, made_up, domain="127.0.0.1", path="/")
        assert browser.get("/account").status_code == 303
        _enter(browser, user, {"origin": shared_server.url})
    with shared_server.client(key="") as attacker:
        attacker.cookies.set(COOKIE, made_up, domain="127.0.0.1", path="/")
        assert attacker.get("/account").status_code == 303


def test_a_bearer_token_and_a_cookie_are_never_each_other(shared_server: Server, user: Person) -> None:
    with shared_server.client(key="") as browser:
        _enter(browser, user, {"origin": shared_server.url})
        cookie = browser.cookies[COOKIE]
        assert browser.get("/v1/users/me").status_code == 401
        assert browser.get("/v1/users/me", headers={"authorization": f"Bearer {cookie}"}).status_code == 401
        for text in (cookie, cookie.replace("hrb_", "hrr_")):
            assert browser.post("/v1/auth/refresh", json={"refresh_token": text}).status_code == 401
    with shared_server.client(key="") as other:
        for text in (user.refresh_token, user.refresh_token.replace("hrr_", "hrb_"), user.access_token):
            other.cookies.set(COOKIE, text, domain="127.0.0.1", path="/")
            assert other.get("/account").status_code == 303


def _enter(browser: httpx2.Client, somebody: Person, headers: dict[str, str]) -> None:
    form = {"username": somebody.username, "password": PASSWORD}
    assert browser.post("/sign-in", data=form, headers=headers).status_code == 303
