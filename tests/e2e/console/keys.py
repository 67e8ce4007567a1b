"""Somebody who has a keyboard and no mouse, and must always see where they are."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Page, expect

_MOST_STOPS = 120
_WANTS = "[autofocus]"
_FOCUSED = """() => {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  const framed = element => {
    if (element.matches("[type^=date]:not(:focus-visible)")) return true;  // its button has a ring of the browser's
    const style = getComputedStyle(element);
    return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1 || style.boxShadow !== "none";
  };
  const box = at.getBoundingClientRect();
  const inside = [[.5, .5], [.1, .5], [.5, .1], [.9, .9]].some(([x, y]) => {
    const top = document.elementFromPoint(box.x + box.width * x, box.y + box.height * y);
    return top && (at.contains(top) || top.contains(at) || [...(at.labels || [])].some(label => label.contains(top)));
  });
  const name = at.getAttribute("aria-label") || at.labels?.[0]?.innerText || at.innerText || at.name || at.id || "";
  return {
    name: name.replace(/\\s+/g, " ").trim(), tag: at.tagName.toLowerCase(), html: at.outerHTML.slice(0, 200),
    box: [box.x, box.y, box.width, box.height], framed: framed(at) || framed(at.parentElement),
    inside: inside && box.bottom > 0 && box.top < innerHeight,
  };
}"""


class Keys:
    """`reach` goes on with Tab until it is where it should be; every stop on the way must be seen."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._is_new = True
        self.passed: list[str] = []
        page.on("domcontentloaded", self._come)

    def reach(self, name: str, *, tag: str = "", back: bool = False) -> dict[str, Any]:
        """Go to what is called so (a regular expression): its label, or its own text."""
        self.passed = []
        for _ in range(_MOST_STOPS):
            self.press("Shift+Tab" if back else "Tab")
            at = self.focused()
            if at is None:
                if self.passed:
                    break  # the end of the page
                continue
            self.passed.append(f"{at['tag']} {at['name'][:60]}")
            if re.search(name, at["name"], re.IGNORECASE) and tag in ("", at["tag"]):
                return at
        raise AssertionError(f"Tab never came to {name!r}:\n" + "\n".join(self.passed))

    def focused(self) -> dict[str, Any] | None:
        """What has the focus, which can be seen."""
        at: dict[str, Any] | None = self._page.evaluate(_FOCUSED)
        if at is not None:
            assert at["framed"], f"nothing shows that this has the focus: {at['html']}"
            assert at["inside"], f"this has the focus and cannot be seen: {at['html']} {at['box']}"
        return at

    def press(self, *keys: str) -> None:
        for key in keys:
            self._wait_for_the_page()
            self._page.keyboard.press(key)

    def write(self, text: str) -> None:
        self._wait_for_the_page()
        self._page.keyboard.type(text)

    def _come(self, _: Page) -> None:
        self._is_new = True

    def _wait_for_the_page(self) -> None:
        """A new page gives the focus to what it wants to have it, once: a key that came first would fight with that."""
        self._page.wait_for_load_state()
        if self._is_new and self._page.locator(_WANTS).count():
            expect(self._page.locator(_WANTS).first).to_be_focused()
        self._is_new = False
