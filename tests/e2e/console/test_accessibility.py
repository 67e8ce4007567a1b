"""No page has an accessibility defect that axe-core calls serious or critical: in light and dark, wide and narrow."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.console.conftest import Visits
from tests.e2e.console.visits import VISITS, Visit
from tests.support.browser import NARROW, WIDE

VENDORED = Path(__file__).parent / "vendor" / "axe-core-4.14.1"
AXE = (VENDORED / "axe.min.js").read_text()
SIZES = {"wide": WIDE, "narrow": NARROW}
_RUN = "() => axe.run(document, {preload: false, resultTypes: ['violations']})"


def defects(page: Page) -> list[str]:
    """What axe-core finds serious or critical on the page as it is now, a line for each element."""
    page.evaluate(AXE)
    found: list[dict[str, Any]] = page.evaluate(_RUN)["violations"]
    return [
        f"{one['impact']} {one['id']}: {node['html'][:200]}\n    {node['failureSummary']}"
        for one in found if one["impact"] in ("serious", "critical") for node in one["nodes"]
    ]  # fmt: skip


def defects_in_every_light(page: Page) -> list[str]:
    found = []
    for (name, (width, height)), scheme in itertools.product(SIZES.items(), ("light", "dark")):
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found += [f"{name}, {scheme}: {defect}" for defect in defects(page)]
    return found


@pytest.mark.parametrize("visit", VISITS, ids=lambda visit: visit.name)
def test_a_page_has_no_serious_defect(visits: Visits, visit: Visit) -> None:
    page = visits.page(visit)
    visits.go(page, visit)
    found = defects_in_every_light(page)
    assert not found, "\n".join(found)


OPENED = {
    "an event": ("explore", "#events .event-link", ".drawer h2"),
    "the account menu": ("account", ".bar-account", ".menu-list"),
    "the columns": ("explore", "summary:has-text('Columns')", "[name=column]"),
    "a filter": ("explore", "summary:has-text('Filter')", "#add-field"),
    "saved searches": ("explore", "summary:has-text('Saved')", "details[open]"),
    "a time of one's own": ("explore", "summary:has-text('custom')", "#range-from"),
}


@pytest.mark.parametrize("what", OPENED)
def test_what_opens_on_a_page_has_no_serious_defect(visits: Visits, what: str) -> None:
    name, opener, shown = OPENED[what]
    (visit,) = (visit for visit in VISITS if visit.name == name)
    page = visits.page(visit)
    visits.go(page, visit)
    page.locator(opener).first.click()
    expect(page.locator(shown).first).to_be_visible()
    found = defects_in_every_light(page)
    assert not found, "\n".join(found)


def test_defects_are_found(visits: Visits) -> None:
    (sign_in,) = (visit for visit in VISITS if visit.name == "sign-in")
    page = visits.page(sign_in)
    visits.go(page, sign_in)
    page.evaluate("() => { const img = new Image(); document.querySelector('main').append(img) }")
    page.evaluate("() => document.querySelectorAll('label').forEach(label => label.remove())")
    assert {line.split(":")[0] for line in defects(page)} >= {"critical image-alt", "critical label"}


def test_the_vendored_files_are_those_of_the_package() -> None:
    sums = dict(reversed(line.split()) for line in (VENDORED / "SHA256SUMS").read_text().splitlines())
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDORED.iterdir()}
    del files["SHA256SUMS"]
    assert files == sums
