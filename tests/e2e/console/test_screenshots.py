"""The pictures of the README and of the how-to guides, from invented traffic.

`HEADRACE_TEST_SCREENSHOTS=docs/images ./dev test -k screenshots` takes them anew (minutes: the overview shows what
happens meanwhile). Else they go to a temporary directory, so that a run of the tests changes nothing in the clone; the
shop has a tenth of its events, and one picture alone is made smaller, which takes seconds of plain Python for each.
"""

from __future__ import annotations

import math
import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from headrace.cli.traffic import generate
from headrace.kit.times import DAY, SECOND
from tests.e2e.conftest import TestBucket
from tests.e2e.console import shop_tasks
from tests.e2e.console.conftest import Opened
from tests.e2e.console.png import smaller
from tests.support.browser import NARROW
from tests.support.people import PASSWORD, Person, sign_in
from tests.support.server import Server

ROOT = Path(__file__).parents[3]
IMAGES = ROOT / "docs" / "images"
WANTED = os.environ.get("HEADRACE_TEST_SCREENSHOTS", "")
MOST_BYTES = 150_000
BUCKET = "shop"
DESKTOP = (1440, 900)
_COUNTS = {BUCKET: 30_000, "billing": 2_000, "edge": 9_000}
_SETTLES = 1_500 if WANTED else 200  # ms: what the page asks for by itself has come


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of its own, with what a shop has after a day: nothing of other tests is in the picture."""
    running = Server(tmp_path_factory.mktemp("shop") / "data")
    try:
        yield _filled(running.start())
    finally:
        running.close()


def _filled(server: Server) -> Server:
    with server.client() as client:
        for name, text, days in (
            (BUCKET, "The shop: orders, payments, sign-ins", 90),
            ("billing", "Who was billed for what", 3_650),
            ("edge", "Access logs of the gateways", 14),
        ):
            body = {"name": name, "description": text, "retention_days": days}
            assert client.post("/v1/buckets", json=body).status_code == 201
        start = time.time_ns() // 1_000 - DAY + 60_000_000
        for name, count in _COUNTS.items():
            lines = _legible(b"".join(generate(count if WANTED else count // 10, 11, start, span=DAY)))
            sent = TestBucket(client, name).post(lines, "application/x-ndjson", ack="stored", ids="false")
            assert sent.status_code == 201, sent.text
        _staffed(server)
    with server.client(key=sign_in(server, "ada").json()["access_token"]) as client:
        shop_tasks.work(client)
    return server


def _legible(lines: bytes) -> bytes:
    """With the names that the fonts of a small machine have, too."""
    for name, other in (("李雷", "Noor"), ("김민준", "Minjun"), ("さくら", "Sakura"), ("東京", "Tokyo")):
        lines = lines.replace(name.encode(), other.encode())
    return lines


def _staffed(server: Server) -> None:
    with server.client() as client:
        for name, role in (("ada", "admin"), ("grace", "manager"), ("edsger", "user"), ("barbara", "user")):
            user = {"username": name, "email": f"{name}@example.com", "role": role, "password": PASSWORD}
            assert client.post("/v1/users", json=user).status_code == 201
    ada = sign_in(server, "ada").json()
    with server.client(key=ada["access_token"]) as client:
        for name, permission in (("gateway", "write"), ("nightly export", "read"), ("dashboard", "read")):
            key = {"name": name, "grants": [{"bucket": BUCKET, "permissions": [permission]}]}
            assert client.post("/v1/keys", json=key).status_code == 201


def _busy(server: Server) -> None:
    """Traffic in waves while the overview looks: for as long as a picture is worth it."""
    seconds = 85 if WANTED else 4  # a test of two minutes counts as hanging
    lines = list(generate(50_000, 23, time.time_ns() // 1_000, span=seconds * SECOND))
    end, sent = time.monotonic() + seconds, 0
    with server.client() as client:
        while (left := end - time.monotonic()) > 0:
            count = int(40 + 25 * math.sin(left / 19) + 12 * math.sin(left / 4.3))
            TestBucket(client, BUCKET).post(b"".join(lines[sent : sent + count]), "application/x-ndjson", ids="false")
            sent += count
            time.sleep(0.2)


@pytest.fixture
def opened(browser: Browser, shop: Server) -> Iterator[Opened]:
    with Opened(browser, shop).all_closed() as pages:
        yield pages


@pytest.fixture
def ada(shop: Server) -> Person:
    """Who administers the shop."""
    tokens = sign_in(shop, "ada").json()
    return Person("", "ada", tokens["access_token"], tokens["refresh_token"])


@dataclass(frozen=True, slots=True)
class Picture:
    """`at` is the page, `ready` what has to be on it; `open` is clicked first."""

    name: str
    at: str
    ready: str = "main h1"
    open: str = ""
    size: tuple[int, int] = DESKTOP
    scheme: str = "light"


PICTURES = (
    Picture("sign-in", "/sign-in"),
    Picture("explore", f"/explore/{BUCKET}?since=24h", "#events > .event"),
    Picture("explore-dark", f"/explore/{BUCKET}?since=24h&min_level=warning", "#events > .event", scheme="dark"),
    Picture("explore-phone", f"/explore/{BUCKET}?since=24h", "#events > .event", size=NARROW),
    Picture("event", f"/explore/{BUCKET}?since=24h&q=timed+out", ".drawer", open="#events > .event a"),
    Picture("audit", f"/audit/{BUCKET}"),
    Picture("tasks", "/tasks", "[data-task]"),
    Picture("task", "/tasks?type=card.charge", "#task .is-log", open="[data-task] th a"),
    Picture("schedules", "/tasks/schedules", ".schedules-table"),
    Picture("buckets", "/admin/buckets"),
    Picture("keys", "/admin/keys"),
    Picture("new-key", f"/admin/keys/new?bucket={BUCKET}"),
    Picture("status", "/admin/status"),
)
OVERVIEW = Picture("overview", "/")


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_a_picture_is_taken(opened: Opened, ada: Person, tmp_path: Path, picture: Picture) -> None:
    options = {"size": picture.size, "color_scheme": picture.scheme}
    page = opened.page(**options) if picture.name == "sign-in" else opened.page_of(ada, **options)
    page.goto(picture.at)
    _take(page, picture, tmp_path)


def test_the_overview_is_taken_while_something_happens(
    opened: Opened, shop: Server, ada: Person, tmp_path: Path
) -> None:
    shop.stop()
    shop.start()  # the figures of the last hour begin anew: without the flood that filled the shop
    page = opened.page_of(ada, OVERVIEW.size)
    traffic = threading.Thread(target=_busy, args=(shop,), daemon=True)
    traffic.start()
    page.goto(OVERVIEW.at)
    page.get_by_text("5 min", exact=True).click()
    while traffic.is_alive():
        page.wait_for_timeout(500)
    _take(page, OVERVIEW, tmp_path)


def test_the_pictures_are_shown_and_no_others_are_kept() -> None:
    kept = {path.stem for path in IMAGES.glob("*.png")}
    assert kept == {picture.name for picture in (*PICTURES, OVERVIEW)}
    shown = set(re.findall(r"images/([\w-]+)\.png", (ROOT / "README.md").read_text()))
    shown |= set(re.findall(r"images/([\w-]+)\.png", (ROOT / "docs/howto/use-the-console.md").read_text()))
    assert kept == shown
    assert {path.name for path in IMAGES.glob("*.png") if path.stat().st_size > MOST_BYTES} == set()


def _take(page: Page, picture: Picture, folder: Path) -> None:
    """Once the page lies still."""
    if picture.open:
        page.locator(picture.open).first.click()
    expect(page.locator(picture.ready).first).to_be_visible()
    page.wait_for_timeout(_SETTLES)
    to = (ROOT / WANTED if WANTED else folder) / f"{picture.name}.png"
    to.parent.mkdir(exist_ok=True)
    taken = page.screenshot(animations="disabled", caret="hide")
    assert len(taken) > 5_000
    if WANTED or picture == PICTURES[0]:
        taken = smaller(taken)
        assert 5_000 < len(taken) < MOST_BYTES
    to.write_bytes(taken)
