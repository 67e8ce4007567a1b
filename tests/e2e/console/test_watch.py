"""The watch that every test of the console has on its pages sees what it should: a checker that never fails is none."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import Page

from tests.support.browser import Watch

WRONG = {
    "console: no": "console.error('no')",
    "exception: .*no": "setTimeout(() => { throw new Error('no') })",
    "policy: script-src.* inline": "document.head.append(Object.assign(document.createElement('script'), {text: '1'}))",
    "somebody else: http://localhost:9/": "new Image().src = 'http://localhost:9/'",
}


@pytest.mark.parametrize("complaint", WRONG)
def test_what_a_page_does_wrong_is_seen(page: Page, watch: Watch, complaint: str) -> None:
    page.goto("/docs")
    page.evaluate(WRONG[complaint])
    deadline = time.monotonic() + 30
    while not re.search(complaint, "\n".join(watch.complaints)) and time.monotonic() < deadline:
        page.wait_for_timeout(50)  # complaints come after the answer
    with pytest.raises(AssertionError, match=complaint):
        watch.assert_nothing_wrong()
    watch.forgive("")


def test_a_page_that_does_nothing_wrong_passes(page: Page, watch: Watch) -> None:
    page.goto("/docs")
    watch.assert_nothing_wrong()
    assert watch.requested
