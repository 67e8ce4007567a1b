"""The viewer in an iframe of somebody's application: its own filter, its own origins, and a token that runs out."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, FrameLocator, Page, expect

from tests.e2e.console.test_accessibility import defects_in_every_light
from tests.support.server import Server

ROOT = Path(__file__).parents[3]
EXAMPLE = (ROOT / "examples/embed.html").read_text()
EVENTS = "/v1/buckets/default/events"
SCRIPT = "<script>parent.postMessage('taken over', '*')</script><img src=x onerror=alert(1)>"
FRAME = '<!doctype html><iframe id="trail" src="{0}" width="360" height="500"></iframe>'


class Application:
    """Pages of an application by their path, and what was asked for. `tokens` are handed out one after the other."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        self.tokens: list[str] = []
        self.handed_out = 0
        application = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if self.path in {*application.pages, "/trail-token"} else 404)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(application.answer(self.path).encode())

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.url_of_another_origin = self.url.replace("127.0.0.1", "localhost")
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, path: str) -> str:
        if path != "/trail-token":
            return self.pages.get(path, "")
        token = self.tokens[min(self.handed_out, len(self.tokens) - 1)]
        self.handed_out += 1
        return json.dumps({"token": token})

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def application() -> Iterator[Application]:
    running = Application()
    yield running
    running.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, application: Application) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("embed") / "data", env={"HEADRACE_EMBED_ORIGINS": application.url})
    try:
        running.start()
        record(running, *(of("acme", n) for n in range(60)), *(of("zeta", n) for n in range(3)))
        record(running, of("acme", 60) | {"message": SCRIPT, "actor": {"id": "x", "name": f"\u202e{SCRIPT}"}})
        yield running
    finally:
        running.close()


@pytest.fixture
def filled(server: Server, application: Application) -> Server:
    """The application shows the example, with a token for acme."""
    application.pages = {"/": EXAMPLE.replace("http://127.0.0.1:8000", server.url)}
    application.tokens, application.handed_out = [token(server)], 0
    return server


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 900, "height": 800}, timezone_id="Europe/Berlin", locale="en-GB")
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def of(tenant: str, n: int) -> dict[str, Any]:
    return {
        "action": "invoice.paid", "actor": {"id": "user-1842", "name": f"Ada of {tenant}"}, "message": f"{tenant} {n}",
        "target": {"id": f"inv-{n}", "type": "invoice"}, "time": f"2026-11-20T12:00:{n:02}Z" if n < 60 else None,
        "attributes": {"tenant": tenant, "ip": "203.0.113.7", "digits": 12345678901234567890123},
    }  # fmt: skip


def record(server: Server, *events: dict[str, Any]) -> None:
    lines = [json.dumps({name: value for name, value in event.items() if value is not None}) for event in events]
    with server.client() as client:
        headers = {"content-type": "application/x-ndjson"}
        sent = client.post(f"{EVENTS}?ack=stored", content="\n".join(lines), headers=headers)
    assert sent.status_code == 201, sent.text


def token(server: Server, tenant: str = "acme", key: str | None = None) -> str:
    wanted = {"bucket": "default", "filter": {"attr.tenant": tenant}, "expires_in": "15m"}
    with server.client(key=key) as client:
        made = client.post("/v1/viewer-tokens", json=wanted)
    assert made.status_code == 201, made.text
    return str(made.json()["token"])


def mortal_token(server: Server) -> tuple[str, Callable[[], None]]:
    """A token, and what ends it at once: one that ends by the clock would make tests wait for it."""
    grants = [{"bucket": "default", "permissions": ["manage"]}]
    with server.client() as client:
        made = client.post("/v1/keys", json={"name": "short-lived", "grants": grants}).json()

    def end() -> None:
        with server.client() as client:
            assert client.delete(f"/v1/keys/{made['id']}").status_code == 204

    return token(server, key=made["key"]), end


def framed(page: Page) -> FrameLocator:
    return page.frame_locator("#trail")


def entries(page: Page) -> Any:
    return framed(page).locator("#trail .entry")


def complaints(page: Page) -> list[str]:
    """What the console says is wrong from now on."""
    said: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error":
            said.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: said.append(str(error)))
    return said


def test_the_example_is_short_and_its_frame_shows_only_what_its_token_opens(
    filled: Server, application: Application, page: Page
) -> None:
    assert len(EXAMPLE.splitlines()) <= 20
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    wrong = complaints(page)
    page.goto(application.url)
    expect(entries(page)).to_have_count(50)
    framed(page).get_by_role("button", name="Older").click()
    expect(entries(page)).to_have_count(61)
    shown = framed(page).locator("main").inner_text()
    assert "zeta" not in shown
    assert "tenant: acme" in shown
    expect(entries(page).nth(1).locator(".sentence")).to_have_text("Ada of acme (user-1842) paid invoice inv-59")
    assert "from 203.0.113.7" in shown
    expect(framed(page).locator(".day").nth(0)).to_be_visible()
    secret = application.tokens[0]
    assert not [url for url in asked if secret in url]
    assert not [error for error in wrong if "favicon" not in error and "404" not in error]


def test_what_strangers_wrote_is_text(filled: Server, application: Application, page: Page) -> None:
    said: list[str] = []
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.goto(application.url)
    expect(entries(page)).to_have_count(50)
    hostile = entries(page).first
    expect(hostile.locator(".note")).to_have_text(SCRIPT)
    assert "\u202e" not in hostile.inner_text()
    hostile.locator("summary").click()
    expect(hostile.locator("pre")).to_contain_text("12345678901234567890123")
    expect(hostile.locator("pre")).to_contain_text("\\u202e")
    assert framed(page).locator("img, main script").count() == 0
    assert said == []


def test_search_and_news(filled: Server, application: Application, page: Page) -> None:
    page.goto(application.url)
    expect(entries(page)).to_have_count(50)
    framed(page).get_by_role("searchbox").fill('"acme 17"')
    expect(entries(page)).to_have_count(1)
    framed(page).get_by_role("searchbox").fill("fresh")
    expect(framed(page).locator("#empty")).to_be_visible()
    record(filled, of("zeta", 60) | {"message": "fresh zeta"}, of("acme", 60) | {"message": "fresh acme"})
    expect(entries(page)).to_have_count(1)
    expect(entries(page).locator(".note")).to_have_text("fresh acme")
    expect(framed(page).locator("#empty")).to_be_hidden()
    framed(page).get_by_role("combobox").select_option("1h")
    expect(entries(page)).to_have_count(1)


def test_the_token_may_come_in_the_fragment_which_is_taken_away(
    filled: Server, application: Application, page: Page
) -> None:
    secret = token(filled, "zeta")
    application.pages["/frame"] = FRAME.format(f"{filled.url}/embed?theme=dark&amp;accent=ffcc00#token={secret}")
    page.goto(f"{application.url}/frame")
    expect(entries(page)).not_to_have_count(0)
    assert "acme" not in framed(page).locator("#trail").inner_text()
    inside = page.frames[1]
    assert "#" not in inside.url
    assert inside.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--accent')") == "#ffcc00"
    assert inside.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--on-accent')") == "#000"
    assert inside.evaluate("[document.cookie, localStorage.length, sessionStorage.length].join()") == ",0,0"
    assert page.context.cookies() == []
    assert secret not in filled.log.read_text()


@pytest.mark.parametrize("query", ["", "&density=compact&accent=ffcc00", "&theme=dark&accent=0b2a1e"])
def test_the_viewer_has_no_serious_defect(filled: Server, browser: Browser, query: str) -> None:
    context = browser.new_context(bypass_csp=True, viewport={"width": 360, "height": 500})
    page = context.new_page()
    page.goto(f"{filled.url}/embed?bucket=default{query}#token={token(filled)}")
    expect(page.locator(".entry")).to_have_count(50)
    page.locator("summary").first.click()
    found = defects_in_every_light(page)
    context.close()
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "query",
    ["accent=red;background:url(//x)", "accent=%23zzzzzz", "theme=%22%3E%3Cscript%3E", "density=huge", "locale=__",
     "zone=Moon"],
)  # fmt: skip
def test_a_theme_that_is_not_of_its_form_is_passed_over(filled: Server, page: Page, query: str) -> None:
    page.goto(f"{filled.url}/embed?{query}")
    expect(page.locator("#told")).to_contain_text("shown inside of another")
    root = page.locator("html")
    assert root.get_attribute("style") is None
    assert (root.get_attribute("data-theme"), root.get_attribute("data-density")) == ("auto", "comfortable")


def test_a_token_that_has_expired_is_asked_for_again(filled: Server, application: Application, page: Page) -> None:
    mortal, end = mortal_token(filled)
    application.tokens = [mortal, token(filled)]
    page.goto(application.url)
    expect(entries(page)).to_have_count(50)
    end()
    framed(page).get_by_role("button", name="Older").click()
    expect(entries(page)).not_to_have_count(50)
    expect(framed(page).locator("#told")).to_be_empty()
    assert application.handed_out == 2


def test_people_are_told_when_no_new_token_comes(filled: Server, application: Application, page: Page) -> None:
    mortal, end = mortal_token(filled)
    listen = """<script>
      const heard = []; addEventListener("message", event => heard.push([event.origin, event.data]))</script>"""
    application.pages["/frame"] = listen + FRAME.format(f"{filled.url}/embed#token={mortal}")
    page.clock.install()
    page.goto(f"{application.url}/frame")
    expect(entries(page)).to_have_count(50)
    end()
    framed(page).get_by_role("button", name="Older").click()
    told = framed(page).locator("#told")
    expect(told).to_contain_text("Your view has expired")
    page.clock.fast_forward(11_000)
    expect(told).to_contain_text("Reload the page")
    message = {"type": "headrace.token-wanted", "reason": "expired"}
    assert page.evaluate("heard")[0] == [filled.url, message]
    framed(page).get_by_role("button", name="Try again").click()
    page.wait_for_function("heard.length == 2")
    fresh = {"type": "headrace.token", "token": token(filled)}
    page.evaluate("m => document.getElementById('trail').contentWindow.postMessage(m, '*')", fresh)
    expect(told).to_be_empty()
    expect(entries(page)).not_to_have_count(50)


@pytest.mark.parametrize("way", ["sibling", "another origin"])
def test_a_token_from_anybody_else_is_not_taken(
    filled: Server, application: Application, page: Page, way: str
) -> None:
    """A page that is shown beside it, or one that may not show it at all."""
    send = """const message = { type: "headrace.token", token: location.hash.slice(1) };
      setInterval(() => %s.postMessage(message, "*"), 50)"""
    application.pages["/other"] = f"<!doctype html><script>{send % 'parent.frames[0]'}</script>"
    application.pages["/frame"] = FRAME.format(f"{filled.url}/embed") + (
        f'<iframe src="{application.url_of_another_origin}/other#{token(filled)}"></iframe>'
        if way == "another origin"
        else f'<iframe src="/other#{token(filled)}"></iframe>'
    )
    page.goto(f"{application.url}/frame")
    expect(framed(page).locator("#told")).to_be_visible()
    page.wait_for_timeout(700)
    assert entries(page).count() == 0


# --- Who may frame what -------------------------------------------------------------------------------------------


def refused(page: Page, at: str) -> bool:
    """Whether the browser shows its own error in the place of the frame."""
    said = complaints(page)
    page.goto(at)
    if not is_an_error(page, 1):
        return False
    wait_until(page, lambda: any("frame" in text.lower() for text in said))
    return True


def is_an_error(page: Page, frame: int) -> bool:
    """Of the browser's, once there is something in the frame."""
    wait_until(page, lambda: len(page.frames) > frame and page.frames[frame].url not in ("", "about:blank"))
    return page.frames[frame].url.startswith("chrome-error:")


def wait_until(page: Page, is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline, [frame.url for frame in page.frames]
        page.wait_for_timeout(50)


def test_the_page_of_an_origin_that_is_not_allowed_shows_nothing(
    filled: Server, application: Application, page: Page
) -> None:
    application.pages["/frame"] = FRAME.format(f"{filled.url}/embed#token={token(filled)}")
    assert not refused(page, f"{application.url}/frame")
    assert refused(page, f"{application.url_of_another_origin}/frame")
    application.pages["/outer"] = FRAME.format(f"{application.url}/frame")
    page.goto(f"{application.url_of_another_origin}/outer")  # every page around it must be allowed
    assert is_an_error(page, 2)


@pytest.mark.parametrize("path", ["/", "/sign-in", "/docs", "/audit", "/reset-password", "/embed/default/events"])
def test_no_other_page_is_shown_in_a_frame(filled: Server, application: Application, page: Page, path: str) -> None:
    application.pages["/frame"] = FRAME.format(f"{filled.url}{path}")
    assert refused(page, f"{application.url}/frame")


def test_the_headers_say_who_may(filled: Server, application: Application, shared_server: Server) -> None:
    def headers(server: Server, path: str) -> tuple[str, str | None]:
        with server.client(key="") as anyone:
            answer = anyone.get(path)
        policy = re.search(r"frame-ancestors ([^;]*)", answer.headers["content-security-policy"])
        assert policy
        return policy[1], answer.headers.get("x-frame-options")

    assert headers(filled, "/embed") == (application.url, None)
    assert headers(filled, "/docs") == ("'none'", "DENY")
    assert headers(shared_server, "/embed") == ("'none'", "DENY")


@pytest.mark.parametrize("origins", ["*", "https://*.example.com", "app.example.com", "http://[::1]:3000"])
def test_an_origin_that_is_none_keeps_the_server_from_starting(tmp_path: Path, origins: str) -> None:
    wrong = Server(tmp_path / "data", env={"HEADRACE_EMBED_ORIGINS": origins})
    with pytest.raises(RuntimeError, match="HEADRACE_EMBED_ORIGINS"):
        wrong.start()
    wrong.close()
