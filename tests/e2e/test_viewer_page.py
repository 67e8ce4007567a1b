"""The how-to for customers' trails: its commands as they stand, and its page in a browser on another origin."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import chromium
from tests.support.server import Server

ROOT = Path(__file__).parents[2]
HOW_TO = (ROOT / "docs/howto/show-customers-their-trail.md").read_text()
PAGE = (ROOT / "examples/viewer.html").read_text()
EVENTS = "/v1/buckets/default/events"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", HOW_TO, re.DOTALL | re.MULTILINE)


def trail_token(server: Server) -> Callable[[str], bytes]:
    """The function of the how-to."""
    (code,) = blocks("python")
    names: dict[str, Any] = {"KEY": server.key}
    exec(code.replace("http://127.0.0.1:8000", server.url), names)
    made: Callable[[str], bytes] = names["trail_token"]
    return made


class Application:
    """Somebody's application: the page, and a token for whoever is signed in, who is acme."""

    def __init__(self) -> None:
        self.tokens: list[bytes] = []
        self.page = ""
        self.asked: list[str] = []
        application = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                application.asked.append(self.path)
                found = {"/": application.page.encode(), "/trail-token": b""}.get(self.path)
                if self.path == "/trail-token":
                    found = application.tokens.pop(0) if len(application.tokens) > 1 else application.tokens[0]
                self.send_response(404 if found is None else 200)
                self.send_header("content-type", "text/html" if self.path == "/" else "application/json")
                self.end_headers()
                self.wfile.write(found or b"")

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def application() -> Iterator[Application]:
    running = Application()
    yield running
    running.close()


@pytest.fixture
def server(tmp_path: Path, application: Application) -> Iterator[Server]:
    running = Server(tmp_path / "data", env={"HEADRACE_CORS_ORIGINS": f"https://app.example.com, {application.url}/"})
    try:
        yield running.start()
    finally:
        running.close()


@pytest.fixture
def filled(server: Server) -> Server:
    """Two tenants, more than a page of one, and a text that would run as a script."""
    events = [
        {"action": f"{tenant}.paid", "actor": {"id": "u", "name": f"Ada of {tenant}"}, "message": f"{tenant} {n}",
         "attributes": {"tenant": tenant}, "time": f"2026-11-20T12:00:{n:02}Z"}
        for n in range(60) for tenant in ("acme", "zeta")
    ]  # fmt: skip
    script = "<script>document.title = 'taken over'</script><img src=x onerror=\"document.title = 'taken over'\">"
    events.append({"message": script, "attributes": {"tenant": "acme"}})
    with server.client() as client:
        body = "\n".join(map(json.dumps, events))
        sent = client.post(f"{EVENTS}?ack=stored", content=body, headers={"content-type": "application/x-ndjson"})
        assert sent.status_code == 201, sent.text
    return server


def seen_by_a_browser(url: str, profile: Path) -> str:
    """The page after its scripts ran."""
    command = [
        chromium(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--no-first-run", f"--user-data-dir={profile}", "--virtual-time-budget=8000", "--dump-dom", url,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    return done.stdout


def page_for(server: Server, extra: str = "") -> str:
    return PAGE.replace("http://127.0.0.1:8000", server.url) + extra


def test_the_page_is_short_and_keeps_the_token_out_of_addresses_and_storage() -> None:
    assert len(PAGE.splitlines()) < 30
    assert "Authorization" in PAGE
    assert not re.search(r"innerHTML *=|localStorage|sessionStorage|document\.cookie|[?&]token=", PAGE)


def test_a_browser_shows_the_customers_own_trail(filled: Server, application: Application, tmp_path: Path) -> None:
    application.page = page_for(filled)
    application.tokens = [trail_token(filled)("acme")]
    shown = seen_by_a_browser(application.url, tmp_path / "profile")
    rows = re.findall(r"<tr>(.*?)</tr>", shown, re.DOTALL)
    assert len(rows) == 50, shown[-2_000:]
    assert all("acme" in row or "taken over" in row for row in rows)
    assert "zeta" not in shown
    assert "Ada of acme" in shown
    assert "<title>Your audit trail</title>" in shown
    assert "&lt;script&gt;" in shown
    assert '<button id="older">' in shown  # there are more
    assert set(application.asked) <= {"/", "/trail-token", "/favicon.ico"}


def test_older_events_come_with_the_button_and_a_dead_token_is_replaced(
    filled: Server, application: Application, tmp_path: Path
) -> None:
    click = "<script>setInterval(() => older.hidden || older.click(), 500)</script>"
    application.page = page_for(filled, click)
    application.tokens = [b'{"token": "dead.and.gone"}', trail_token(filled)("acme")]
    shown = seen_by_a_browser(application.url, tmp_path / "profile")
    assert len(set(re.findall(r"<td>(acme \d+)</td>", shown))) == 60
    assert shown.count("<tr>") == 61
    assert application.asked.count("/trail-token") == 2


def test_the_page_of_another_origin_shows_nothing(filled: Server, application: Application, tmp_path: Path) -> None:
    application.page = page_for(filled)
    application.tokens = [trail_token(filled)("acme")]
    shown = seen_by_a_browser(application.url.replace("127.0.0.1", "localhost"), tmp_path / "profile")
    assert "/trail-token" in application.asked
    assert "<tr>" not in shown


def test_what_the_page_asks_is_answered_also_without_a_browser(filled: Server, application: Application) -> None:
    """The requests of the script, as a browser sends them."""
    token = json.loads(trail_token(filled)("acme"))["token"]
    (path,) = re.findall(r'data-events="http://127\.0\.0\.1:8000([^"]+)"', PAGE)
    assert path == EVENTS
    with filled.client(key="") as browser:
        asking = {"Origin": application.url, "Access-Control-Request-Method": "GET"}
        allowed = browser.options(
            f"{path}?limit=50", headers={**asking, "Access-Control-Request-Headers": "authorization"}
        )
        assert allowed.headers["access-control-allow-origin"] == application.url
        assert "authorization" in allowed.headers["access-control-allow-headers"]
        headers = {"Origin": application.url, "Authorization": f"Bearer {token}"}
        page = browser.get(path, params={"limit": 50}, headers=headers)
        assert page.headers["access-control-allow-origin"] == application.url
        rest = browser.get(path, params={"limit": 50, "cursor": page.json()["next_cursor"]}, headers=headers)
        assert len(page.json()["events"]) + len(rest.json()["events"]) == 61
        assert browser.get(path, headers={"Origin": application.url}).headers["access-control-allow-origin"]
    assert json.loads(trail_token(filled)("acme")).keys() == {"token", "expires_at"}


def test_the_commands_find_what_they_record_and_nothing_of_others(server: Server, tmp_path: Path) -> None:
    commands = [block for block in blocks("sh") if "curl" in block]
    script = "\n".join(commands).replace("http://127.0.0.1:8000", server.url)
    script = script.replace("data/admin.key", str(server.data_dir / "admin.key"))
    other = (
        f"curl -s {server.url}{EVENTS}?ack=stored -H \"Authorization: Bearer $KEY\" -H 'Content-Type: application/json'"
    )
    other += """ -d '{"message": "not for acme", "attributes": {"tenant": "another"}}'"""
    script = script.replace("TOKEN=$(", f"{other}\nTOKEN=$(")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '{"events":[]}' in done.stdout
    export = done.stdout[done.stdout.index("id,time,") :]
    assert "Invoice 99311 paid" in export
    assert "not for acme" not in done.stdout


def test_the_setting_of_the_how_to_is_one() -> None:
    names = set(re.findall(r"HEADRACE_[A-Z_]+", HOW_TO))
    assert names
    assert all(name in (ROOT / ".env.example").read_text() for name in names)


def test_an_origin_that_is_none_keeps_the_server_from_starting(tmp_path: Path) -> None:
    wrong = Server(tmp_path / "data", env={"HEADRACE_CORS_ORIGINS": "*"})
    with pytest.raises(RuntimeError, match="HEADRACE_CORS_ORIGINS"):
        wrong.start()
    wrong.close()
