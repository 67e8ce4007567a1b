"""Chromium at a running Headrace: who signs in, and what a page may not do while a test looks at it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.support.people import PASSWORD, Person

WIDE, NARROW = (1440, 1000), (390, 844)
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_OURS = ("data:", "blob:", "about:")  # no request leaves the machine for these
_WATCH_POLICY = """addEventListener("securitypolicyviolation", event => console.error(
  `policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));"""


def chromium() -> str:
    """Where the system's Chromium is. Without one: a skip on a laptop, a failure in CI."""
    found = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if found:
        return found
    missing = "there is no Chromium here; on Debian: apt-get install --yes --no-install-recommends chromium"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


@contextmanager
def browser_running() -> Iterator[Browser]:
    """The system's Chromium; Playwright never brings its own.

    For no longer than the tests of one folder: while it runs, its event loop counts as the thread's, and pytest-asyncio
    cannot run a test beside it.
    """
    path = chromium()
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=path,
            chromium_sandbox=os.geteuid() != 0,  # Chromium refuses to sandbox root
            args=["--disable-gpu", "--disable-quic", "--no-first-run", "--font-render-hinting=none"],
        )
        yield running
        running.close()


class Watch:
    """What went wrong in the pages of a context: errors on the console, violations of the policy, exceptions, and
    requests to anybody but our server."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self._origin = origin
        self._forgiven: list[str] = []
        self.complaints: list[str] = []
        self.requested: list[str] = []
        context.add_init_script(_WATCH_POLICY)
        context.on("console", self._said)
        context.on("weberror", lambda raised: self.complaints.append(f"exception: {raised.error}"))
        context.on("request", self._asked)

    def forgive(self, pattern: str) -> None:
        """Complaints that match this are what the test is about: a 404 is an error on the console."""
        self._forgiven.append(pattern)

    def assert_nothing_wrong(self) -> None:
        wrong = [one for one in self.complaints if not any(re.search(each, one) for each in self._forgiven)]
        assert not wrong, "\n".join(wrong)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _asked(self, request: Request) -> None:
        self.requested.append(request.url)
        if not request.url.startswith((f"{self._origin}/", *_OURS)):
            self.complaints.append(f"request to somebody else: {request.url}")


def signed_in(page: Page, person: Person, *, password: str = PASSWORD) -> Page:
    """The page after this person went through the form."""
    page.goto("/sign-in")
    page.locator("input[name=username]").fill(person.username)
    page.locator("input[name=password]").fill(password)
    page.locator("input[name=password]").press("Enter")
    expect(page.locator("input[name=password]")).to_have_count(0)
    assert urlsplit(page.url).path != "/sign-in", page.url
    return page
