"""Dead letters in the console: looked at, chosen, put back. The server had blocks in its queue that nobody can read."""

from __future__ import annotations

import asyncio
from threading import Thread

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.console.conftest import Opened
from tests.support.people import person
from tests.support.queue import put_blocks
from tests.support.server import Server

POISON = b"HR\x01\x00 <script>alert(1)</script> is no zstd frame"
MANY = 3


@pytest.fixture
def poisoned(server: Server) -> Server:
    server.stop()
    # A thread of its own: in this one Playwright has its loop.
    planting = Thread(target=lambda: asyncio.run(put_blocks(server, *[POISON] * MANY)))
    planting.start()
    planting.join()
    return server.start()


def test_dead_letters_show_their_reason_and_are_replayed_one_some_and_all(browser: Browser, poisoned: Server) -> None:
    with Opened(browser, poisoned).all_closed() as opened:
        page = opened.page_of(person(poisoned, role="admin"))
        opened.watch(page).forgive("status of 422 ")
        letters = page.locator(".letter")

        def all_there() -> None:
            """What cannot be stored comes back; a page shows it once it is loaded again."""
            for _ in range(100):
                page.goto("/admin/dead-letters")
                if letters.count() == MANY:
                    return
                page.wait_for_timeout(100)
            raise AssertionError(f"{letters.count()} dead letters")

        all_there()
        expect(letters.first).to_contain_text("decompress")
        letters.first.get_by_text("Payload").click()
        expect(letters.first.locator("pre")).to_contain_text(POISON.hex())
        page.get_by_role("button", name="Replay those checked").click()
        expect(page.locator(".notice.bad")).to_contain_text("Check those")
        letters.nth(0).get_by_role("checkbox").check()
        letters.nth(1).get_by_role("checkbox").check()
        page.get_by_role("button", name="Replay those checked").click()
        expect(page.locator("#toasts")).to_contain_text("Put back into the queue: 2.")
        all_there()
        letters.first.get_by_role("button", name="Replay this one").click()
        expect(page.locator("#toasts")).to_contain_text("Put back into the queue: 1.")
        all_there()
        page.get_by_role("button", name="Replay all").click()
        expect(page.locator("#toasts")).to_contain_text("Put back into the queue: 3.")
