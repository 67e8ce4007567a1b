"""Every page of the console, and where a test finds it: a page that has no row here fails test_visits.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from starlette.routing import BaseRoute, Route

from headrace.web.console import pages

NOBODY = ""


@dataclass(frozen=True, slots=True)
class Visit:
    """A page as somebody sees it. `at` may hold {bucket}, {event}, {user}, {key} and {search}."""

    name: str
    route: str
    at: str
    who: str = "admin"
    shown: str = "main h1"
    """What is there once the page is drawn."""
    status: int = 200


VISITS = (
    Visit("overview", "/", "/"),
    Visit("sign-in", "/sign-in", "/sign-in", NOBODY),
    Visit("explore", "/explore/{bucket}", "/explore/{bucket}?since=24h"),
    Visit("explore-nothing", "/explore/{bucket}", "/explore/{bucket}?q=nothing-has-this-word"),
    Visit("event", "/explore/{bucket}/events/{id}", "/explore/{bucket}/events/{event}"),
    Visit("audit", "/audit", "/audit"),
    Visit("buckets", "/admin/buckets", "/admin/buckets"),
    Visit("users", "/admin/users", "/admin/users"),
    Visit("keys", "/admin/keys", "/admin/keys"),
    Visit("dead-letters", "/admin/dead-letters", "/admin/dead-letters"),
    Visit("status", "/admin/status", "/admin/status"),
    Visit("account", "/account", "/account"),
    Visit("not-found", "", "/explore/there-is-no-such-bucket", status=404),
    Visit("forbidden", "", "/admin/users", "user", status=403),
)

NO_PAGES: dict[str, str] = {}
"""Routes of GET that answer no whole page, and what they answer. Paths with /part are fragments by their name."""


def page_routes() -> Iterator[str]:
    """The paths of GET in the console's route table that answer a page."""
    for module in pages.ALL:
        yield from _gets(getattr(module, "routes", module))


def _gets(router: object) -> Iterator[str]:
    routes: list[BaseRoute] = getattr(router, "routes", router)  # type: ignore[assignment]
    for route in routes:
        if isinstance(route, Route) and "GET" in (route.methods or ()):
            yield route.path
