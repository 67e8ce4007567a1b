"""Every page of the console, and where a test finds it: a page that has no row here fails test_visits.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from starlette.routing import BaseRoute, Route

from headrace.web.console import pages

NOBODY = ""


@dataclass(frozen=True, slots=True)
class Visit:
    """A page as somebody sees it. `at` may hold {bucket}, {event}, {user}, {key}, {task}, {waiting} and
    {schedule}."""

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
    Visit("forgot-password", "/forgot-password", "/forgot-password", NOBODY),
    Visit("reset-password", "/reset-password", "/reset-password?token=no-good", NOBODY),
    Visit("set-up", "/set-up", "/set-up?token=no-good", NOBODY),
    Visit("verify", "/verify", "/verify?token=no-good", NOBODY),
    Visit("explore", "/explore/{bucket}", "/explore/{bucket}?since=24h"),
    Visit("explore-nothing", "/explore/{bucket}", "/explore/{bucket}?q=nothing-has-this-word"),
    Visit("event", "/explore/{bucket}/events/{id}", "/explore/{bucket}/events/{event}"),
    Visit("audit", "/audit", "/audit"),
    Visit("audit-of-bucket", "/audit/{bucket}", "/audit/{bucket}?since=7d"),
    Visit("buckets", "/admin/buckets", "/admin/buckets"),
    Visit("new-bucket", "/admin/buckets/~new", "/admin/buckets/~new", "manager"),
    Visit("bucket", "/admin/buckets/{bucket}", "/admin/buckets/{bucket}"),
    Visit("delete-bucket", "/admin/buckets/{bucket}/delete", "/admin/buckets/{bucket}/delete"),
    Visit("users", "/admin/users", "/admin/users"),
    Visit("new-user", "/admin/users/new", "/admin/users/new"),
    Visit("user", "/admin/users/{id}", "/admin/users/{user}"),
    Visit("delete-user", "/admin/users/{id}/delete", "/admin/users/{user}/delete"),
    Visit("keys", "/admin/keys", "/admin/keys?whose=all"),
    Visit("no-keys", "/admin/keys", "/admin/keys", "user"),
    Visit("new-key", "/admin/keys/new", "/admin/keys/new?bucket={bucket}"),
    Visit("revoke-key", "/admin/keys/{id}/revoke", "/admin/keys/{key}/revoke"),
    Visit("usage", "/admin/usage", "/admin/usage"),
    Visit("dead-letters", "/admin/dead-letters", "/admin/dead-letters"),
    Visit("status", "/admin/status", "/admin/status"),
    Visit("signing-key", "/admin/status/signing-key", "/admin/status/signing-key"),
    Visit("tasks", "/tasks", "/tasks"),
    Visit("tasks-nothing", "/tasks", "/tasks?q=nothing-has-this-word"),
    Visit("no-tasks", "/tasks", "/tasks", "manager"),
    Visit("new-task", "/tasks/new", "/tasks/new"),
    Visit("bulk", "/tasks/bulk", "/tasks/bulk?action=retry&which=all"),
    Visit("task", "/tasks/{id}", "/tasks/{task}"),
    Visit("waiting-task", "/tasks/{id}", "/tasks/{waiting}"),
    Visit("delete-task", "/tasks/{id}/delete", "/tasks/{task}/delete"),
    Visit("queues", "/tasks/queues", "/tasks/queues"),
    Visit("no-queues", "/tasks/queues", "/tasks/queues", "manager"),
    Visit("queue", "/tasks/queues/{queue}", "/tasks/queues/default"),
    Visit("schedules", "/tasks/schedules", "/tasks/schedules"),
    Visit("no-schedules", "/tasks/schedules", "/tasks/schedules", "manager"),
    Visit("new-schedule", "/tasks/schedules/new", "/tasks/schedules/new"),
    Visit("schedule", "/tasks/schedules/{id}", "/tasks/schedules/{schedule}"),
    Visit("delete-schedule", "/tasks/schedules/{id}/delete", "/tasks/schedules/{schedule}/delete"),
    Visit("account", "/account", "/account"),
    Visit("not-found", "", "/explore/there-is-no-such-bucket", status=404),
    Visit("forbidden", "", "/admin/users", "user", status=403),
)

NO_PAGES: dict[str, str] = {
    "/explore": "a way on to a bucket",
    "/explore/{bucket}/events/{id}/json": "the event as the API answers it",
    "/explore/{bucket}/export": "a file",
    "/explore/{bucket}/live": "server-sent events",
    "/tasks/{id}/json": "the task as the API answers it",
    "/tasks/{id}/file": "a file",
    "/explore/{bucket}/saved/{id}": "a way on to the page with that search",
}
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
