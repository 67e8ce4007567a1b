"""Pages are light and lie still, however slowly what they need comes in. How long the server takes for one is a figure
of the benchmark; here it is written into the report alone, since a timed test would fail for its neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.e2e.console.conftest import Visits
from tests.e2e.console.visits import VISITS, Visit
from tests.support.browser import NARROW

MOST_BYTES = 300_000
MOST_SHIFT = 0.02  # a fifth of what Core Web Vitals call good: a word that gets wider, and no more
_SETTLE = 500  # ms after the page is loaded: what it asks for by itself has come
_SLOW = {"offline": False, "latency": 20, "downloadThroughput": 150_000, "uploadThroughput": 150_000}  # ms, bytes/s
_SHIFTS = """
  window.shifts = [];
  new PerformanceObserver(list => list.getEntries().forEach(entry => entry.hadRecentInput || shifts.push(
    [entry.value, entry.sources.map(source => source.node && (source.node.id || source.node.className)).join(" ")]
  ))).observe({type: "layout-shift", buffered: true});"""


class Weight:
    """Bytes that come into a page from now on over a slow line, headers and compression as they are, by address.

    On a fast one a page is there at once, or not, as the machine is busy: what moves on it would show by chance.
    """

    def __init__(self, page: Page) -> None:
        self.by_request: dict[str, int] = {}
        self._urls: dict[str, str] = {}
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.send("Network.setCacheDisabled", {"cacheDisabled": True})
        session.on("Network.requestWillBeSent", self._sent)
        session.on("Network.responseReceived", lambda got: self._add(got["requestId"], got["response"]))
        session.on("Network.dataReceived", lambda got: self._add(got["requestId"], got))
        session.on("Network.loadingFinished", self._finished)
        session.send("Network.emulateNetworkConditions", _SLOW)

    def _sent(self, sent: dict[str, Any]) -> None:
        self._urls[sent["requestId"]] = sent["request"]["url"]

    def _add(self, request: str, got: dict[str, Any]) -> None:
        self.by_request[request] = self.by_request.get(request, 0) + int(got["encodedDataLength"])

    def _finished(self, got: dict[str, Any]) -> None:
        self.by_request[got["requestId"]] = int(got["encodedDataLength"])

    @property
    def total(self) -> int:
        return sum(self.by_request.values())

    def listed(self) -> str:
        rows = sorted(((size, self._urls.get(request, "?")) for request, size in self.by_request.items()), reverse=True)
        return "\n".join(f"{size:>9,} {url}" for size, url in rows)


@pytest.mark.parametrize("visit", VISITS, ids=lambda visit: visit.name)
def test_a_page_is_light_from_cold_and_lies_still(
    visits: Visits, visit: Visit, record_property: Callable[[str, object], None]
) -> None:
    page = visits.page(visit)
    page.add_init_script(_SHIFTS)
    weight = Weight(page)
    answer = visits.go(page, visit)
    page.wait_for_timeout(_SETTLE)
    timing = answer.request.timing
    server_ms = timing["responseStart"] - timing["requestStart"]
    record_property("bytes", weight.total)
    record_property("server_ms", round(server_ms, 1))
    print(f"{visit.name}: {weight.total:,} bytes, {server_ms:.1f} ms")
    assert 1_000 < weight.total <= MOST_BYTES, weight.listed()
    assert_still(page)


@pytest.mark.parametrize("visit", VISITS, ids=lambda visit: visit.name)
def test_a_page_fits_a_phone_and_lies_still_there(visits: Visits, visit: Visit) -> None:
    page = visits.page(visit, size=NARROW)
    page.add_init_script(_SHIFTS)
    Weight(page)
    visits.go(page, visit)
    page.wait_for_timeout(_SETTLE)
    wide = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{visit.name} scrolls sideways by {wide} px"
    assert_still(page)


def assert_still(page: Page) -> None:
    shifts = page.evaluate("() => shifts")
    assert sum(value for value, _ in shifts) <= MOST_SHIFT, shifts


def test_a_jump_is_seen(visits: Visits) -> None:
    (sign_in,) = (visit for visit in VISITS if visit.name == "sign-in")
    page = visits.page(sign_in)
    page.add_init_script(_SHIFTS)
    visits.go(page, sign_in)
    page.wait_for_timeout(600)
    page.evaluate("""() => { const block = document.createElement("div"); block.style.height = "400px";
      document.body.prepend(block) }""")
    page.wait_for_function("() => shifts.reduce((sum, [value]) => sum + value, 0) > 0.1")
