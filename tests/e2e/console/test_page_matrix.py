"""Every route of the console × everybody who may come, over HTTP. A route without a row fails, and a row without one.

What each may do on the bucket `theirs`: `reader` has read, `manager` made it, `stranger` has no grant at all. A cell is
a status: 200 and 201 are pages, 303 leads on to one (for `nobody`: to the sign-in), 422 is the form again with what is
wrong in it. Every form is good in itself, so there it is the visitor who is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import pytest

from headrace.web.app import WebOptions, json_app
from headrace.web.console.page import Page
from tests.support.people import PASSWORD, Person, person, unused_name
from tests.support.server import Server
from tests.unit.web.fakes import World

VISITORS = ("nobody", "stranger", "reader", "manager", "admin")

OPEN = "200 200 200 200 200"
EVERYBODY = "303 200 200 200 200"
READS = "303 404 200 200 200"
ADMIN = "303 403 403 403 200"
OWN = "303 404 200 404 200"
CHANGES_OWN = "303 404 303 404 303"
"""Of tasks and schedules, which are the reader's: the administrator alone sees those of others."""

Row = tuple[str, str]
ROUTES: dict[Row, str] = {
    ("GET", "/audit"): "303 200 303 303 303",
    ("GET", "/audit/{bucket}"): READS,
    ("GET", "/audit/{bucket}/part/values"): READS,
    ("GET", "/sign-in"): "200 303 303 303 303",
    ("POST", "/sign-in"): "303 303 303 303 303",
    ("POST", "/sign-out"): "303 303 303 303 303",
    ("GET", "/forgot-password"): OPEN,
    ("POST", "/forgot-password"): OPEN,
    ("GET", "/verify"): OPEN,
    ("GET", "/reset-password"): OPEN,
    ("GET", "/set-up"): OPEN,
    ("GET", "/account"): EVERYBODY,
    ("POST", "/account/profile"): "303 303 303 303 303",
    ("POST", "/account/password"): "303 422 422 422 422",
    ("GET", "/admin/buckets"): EVERYBODY,
    ("GET", "/admin/buckets/~new"): "303 403 403 200 200",
    ("POST", "/admin/buckets/~new"): "303 422 422 303 303",
    ("GET", "/admin/buckets/{bucket}"): READS,
    ("POST", "/admin/buckets/{bucket}/settings"): "303 404 403 303 303",
    ("GET", "/admin/buckets/{bucket}/delete"): "303 404 403 200 200",
    ("POST", "/admin/buckets/{bucket}/delete"): "303 404 403 422 422",
    ("GET", "/admin/dead-letters"): ADMIN,
    ("POST", "/admin/dead-letters/replay"): "303 403 403 403 422",
    ("GET", "/admin/part/people"): EVERYBODY,
    ("POST", "/admin/buckets/{bucket}/grants"): "303 404 422 303 303",
    ("POST", "/admin/buckets/{bucket}/grants/{user}"): "303 404 422 303 303",
    ("POST", "/admin/buckets/{bucket}/grants/{user}/remove"): "303 404 422 200 200",
    ("GET", "/admin/keys"): EVERYBODY,
    ("GET", "/admin/keys/new"): EVERYBODY,
    ("POST", "/admin/keys/new"): "303 422 201 201 201",
    ("GET", "/admin/keys/{id}/revoke"): "303 404 404 404 200",
    ("POST", "/admin/keys/{id}/revoke"): "303 404 404 404 303",
    ("GET", "/admin/status"): EVERYBODY,
    ("GET", "/admin/part/status"): EVERYBODY,
    ("GET", "/admin/status/signing-key"): ADMIN,
    ("POST", "/admin/status/signing-key"): "303 403 403 403 303",
    ("GET", "/admin/usage"): EVERYBODY,
    ("GET", "/admin/users"): "303 403 403 200 200",
    ("GET", "/admin/users/new"): ADMIN,
    ("POST", "/admin/users/new"): "303 422 422 422 201",
    ("GET", "/admin/users/{id}"): "303 403 403 200 200",
    ("POST", "/admin/users/{id}/settings"): "303 403 403 422 303",
    ("POST", "/admin/users/{id}/disable"): "303 403 403 422 303",
    ("POST", "/admin/users/{id}/enable"): "303 403 403 422 303",
    ("POST", "/admin/users/{id}/verify"): "303 403 403 422 303",
    ("POST", "/admin/users/{id}/setup-link"): "303 403 403 422 201",
    ("GET", "/admin/users/{id}/delete"): ADMIN,
    ("POST", "/admin/users/{id}/delete"): "303 403 403 403 303",
    ("GET", "/explore"): "303 200 303 303 303",
    ("GET", "/explore/{bucket}"): READS,
    ("GET", "/explore/{bucket}/part/set"): "303 303 303 303 303",
    ("GET", "/explore/{bucket}/part/why"): READS,
    ("GET", "/explore/{bucket}/part/chart"): READS,
    ("GET", "/explore/{bucket}/part/complete"): READS,
    ("GET", "/explore/{bucket}/events/{id}"): READS,
    ("GET", "/explore/{bucket}/events/{id}/json"): READS,
    ("GET", "/explore/{bucket}/events/{id}/part/trace"): READS,
    ("GET", "/explore/{bucket}/export"): READS,
    ("GET", "/explore/{bucket}/live"): READS,
    ("GET", "/explore/{bucket}/part/saved"): "303 404 303 303 303",
    ("POST", "/explore/{bucket}/saved"): "303 404 303 303 303",
    ("GET", "/explore/{bucket}/saved/{id}"): "303 404 303 303 303",
    ("POST", "/explore/{bucket}/saved/{id}"): "303 404 303 404 404",
    ("DELETE", "/explore/{bucket}/saved/{id}"): "303 404 303 404 404",
    ("GET", "/tasks"): EVERYBODY,
    ("GET", "/tasks/part/list"): EVERYBODY,
    ("GET", "/tasks/new"): EVERYBODY,
    ("POST", "/tasks/new"): "303 303 303 303 303",
    ("GET", "/tasks/bulk"): EVERYBODY,
    ("POST", "/tasks/bulk"): "303 303 303 303 303",
    ("GET", "/tasks/queues"): EVERYBODY,
    ("GET", "/tasks/queues/part/list"): EVERYBODY,
    ("GET", "/tasks/queues/{queue}"): ADMIN,
    ("POST", "/tasks/queues/{queue}/limits"): "303 403 403 403 303",
    ("POST", "/tasks/queues/{queue}/pause"): "303 403 403 403 303",
    ("POST", "/tasks/queues/{queue}/resume"): "303 403 403 403 303",
    ("GET", "/tasks/schedules"): EVERYBODY,
    ("GET", "/tasks/schedules/part/preview"): EVERYBODY,
    ("GET", "/tasks/schedules/new"): EVERYBODY,
    ("POST", "/tasks/schedules/new"): "303 303 303 303 303",
    ("GET", "/tasks/schedules/{id}"): OWN,
    ("POST", "/tasks/schedules/{id}"): CHANGES_OWN,
    ("POST", "/tasks/schedules/{id}/enable"): CHANGES_OWN,
    ("POST", "/tasks/schedules/{id}/disable"): CHANGES_OWN,
    ("POST", "/tasks/schedules/{id}/run"): CHANGES_OWN,
    ("GET", "/tasks/schedules/{id}/delete"): OWN,
    ("POST", "/tasks/schedules/{id}/delete"): CHANGES_OWN,
    ("GET", "/tasks/{id}"): OWN,
    ("GET", "/tasks/{id}/part/live"): OWN,
    ("GET", "/tasks/{id}/json"): OWN,
    ("GET", "/tasks/{id}/file"): "303 404 404 404 404",
    ("POST", "/tasks/{id}/retry"): CHANGES_OWN,
    ("POST", "/tasks/{id}/cancel"): CHANGES_OWN,
    ("GET", "/tasks/{id}/delete"): OWN,
    ("POST", "/tasks/{id}/delete"): CHANGES_OWN,
    ("GET", "/"): EVERYBODY,
    ("GET", "/overview/part/panels/{name}"): "303 404 404 404 200",
    ("GET", "/overview/part/first"): "303 204 204 204 204",
    ("GET", "/overview/part/live"): ADMIN,
}

FORMS: dict[Row, dict[str, str]] = {
    ("POST", "/sign-in"): {"username": "{me}", "password": PASSWORD},
    ("POST", "/forgot-password"): {"email": "nobody@example.com"},
    ("POST", "/account/profile"): {"first_name": "Ada", "email": "{me}@example.com"},
    ("POST", "/account/password"): {"current_password": PASSWORD, "password": "short"},
    ("POST", "/admin/buckets/~new"): {"name": "{unused}"},
    ("POST", "/admin/buckets/{bucket}/settings"): {"description": "theirs"},
    ("POST", "/admin/buckets/{bucket}/grants"): {"who": "{username}", "access": "read"},
    ("POST", "/admin/buckets/{bucket}/grants/{user}"): {"access": "read"},
    ("POST", "/admin/keys/new"): {"name": "{unused}", "grant": "theirs:read", "expires": "7"},
    ("POST", "/admin/users/new"): {"username": "{unused}", "role": "user"},
    ("POST", "/admin/users/{id}/settings"): {"role": "user"},
    ("POST", "/admin/users/{id}/delete"): {"confirm": "{username}"},
    ("POST", "/tasks/new"): {"type": "nobody.does", "args": "{{}}"},
    ("POST", "/tasks/bulk"): {"action": "cancel", "which": "checked"},
    ("POST", "/tasks/schedules/new"): {"name": "{unused}", "cron": "0 9 * * *", "type": "nobody.does"},
    ("POST", "/tasks/schedules/{id}"): {"name": "{unused}", "cron": "0 9 * * *", "type": "nobody.does"},
    ("POST", "/explore/{bucket}/saved"): {"name": "{unused}", "query": "q=x"},
    ("POST", "/explore/{bucket}/saved/{id}"): {"name": "{unused}"},
}
QUERIES = {
    "/audit/{bucket}/part/values": {"field": "actor"},
    "/tasks/bulk": {"action": "cancel", "which": "checked"},
}


_NOBODYS_TASK: dict[str, object] = {"type": "nobody.does", "args": {"a": 1}}  # it waits for a worker that never comes


@dataclass(frozen=True, slots=True)
class Site:
    """A server, and a browser of each visitor."""

    server: Server
    root: httpx2.Client
    people: dict[str, Person]
    browsers: dict[str, httpx2.Client]
    event_id: str

    def ask(self, row: Row, visitor: str, headers: dict[str, str] | None = None) -> httpx2.Response:
        """As a browser would: from a page of ours, with the token of the session. Of a stream only the head is read."""
        method, path = row
        browser = self.browsers[visitor]
        if path == "/sign-out" and visitor != "nobody":
            browser = browser_of(self.server, self.people[visitor])  # the session of the others goes on
        if headers is None:
            headers = {"origin": self.server.url, "x-csrf-token": token_of(browser)}
        known = self._known(row, visitor)
        form = {name: value.format_map(known) for name, value in FORMS.get(row, {}).items()}
        more = {"data": form} if method == "POST" else {"params": QUERIES.get(path, {})}
        with browser.stream(method, path.format_map(known), headers=headers, **more) as answer:  # type: ignore[arg-type]  # httpx2 names each
            return answer

    def _known(self, row: Row, visitor: str) -> dict[str, str]:
        """What the path and the form need, with a user, a key and a search of its own: a row may delete them."""
        path = row[1]
        me = self.people.get(visitor, self.people["stranger"]).username
        known = {"bucket": "theirs", "queue": "later", "name": "figures", "me": me, "id": self.event_id}
        known["unused"] = unused_name()
        if "/users/{id}" in path or "/grants" in path:
            name = unused_name()
            made = self.root.post("/v1/users", json={"username": name}).json()["id"]
            self.root.put(f"/v1/buckets/theirs/grants/{made}", json={"permissions": ["read"]})
            known |= {"id": made, "user": made, "username": name}
        if "/keys/{id}" in path:
            body = {"name": unused_name(), "grants": [{"bucket": "theirs", "permissions": ["read"]}]}
            known["id"] = self.root.post("/v1/keys", json=body).json()["id"]
        if "/saved/{id}" in path:
            known["id"] = self._saved_by("reader")
        if path.startswith("/tasks/schedules/{id}"):
            body = {"name": unused_name(), "cron": "0 9 * * *", "task": _NOBODYS_TASK}
            known["id"] = self._as_reader("/v1/schedules", body)["id"]
        elif path.startswith("/tasks/{id}"):
            known["id"] = self._as_reader("/v1/tasks", _NOBODYS_TASK)["id"]
            if path.endswith(("/delete", "/retry")):
                self._as_reader(f"/v1/tasks/{known['id']}/cancel", {})
        return known

    def _as_reader(self, path: str, body: dict[str, object]) -> dict[str, str]:
        headers = {"authorization": f"Bearer {self.people['reader'].access_token}"}
        answer = self.root.post(path, json=body, headers=headers)
        assert answer.is_success, answer.text
        made: dict[str, str] = answer.json()
        return made

    def _saved_by(self, somebody: str) -> str:
        name = unused_name()
        headers = {"origin": self.server.url, "x-csrf-token": token_of(self.browsers[somebody])}
        headers["hx-request"] = "true"
        form = {"name": name, "query": "q=x", "shared": "on"}
        menu = self.browsers[somebody].post("/explore/theirs/saved", data=form, headers=headers).text
        return re.findall(r"/saved/([0-9a-f-]{36})", menu)[-1]


def browser_of(server: Server, somebody: Person) -> httpx2.Client:
    browser = server.client(key="")
    form = {"username": somebody.username, "password": PASSWORD}
    assert browser.post("/sign-in", data=form, headers={"origin": server.url}).status_code == 303
    return browser


def token_of(browser: httpx2.Client) -> str:
    """Of the session, from a page; empty without one."""
    found = re.search(r'name="csrf-token" content="([^"]+)"', browser.get("/account").text)
    return found[1] if found else ""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    server = Server(tmp_path_factory.mktemp("pages") / "data")
    try:
        with server.start().client() as root:
            yield _peopled(server, root)
    finally:
        server.close()


def _peopled(server: Server, root: httpx2.Client) -> Site:
    people = {
        "stranger": person(server), "reader": person(server),
        "manager": person(server, role="manager"), "admin": person(server, role="admin"),
    }  # fmt: skip
    manager = {"authorization": f"Bearer {people['manager'].access_token}"}
    assert root.post("/v1/buckets", json={"name": "theirs"}, headers=manager).status_code == 201
    granted = root.put(f"/v1/buckets/theirs/grants/{people['reader'].id}", json={"permissions": ["read"]})
    assert granted.status_code == 200, granted.text
    event = root.post("/v1/buckets/theirs/events", params={"ack": "stored"}, json={"message": "x", "trace_id": "ab"})
    browsers = {name: browser_of(server, one) for name, one in people.items()}
    return Site(server, root, people, {"nobody": server.client(key=""), **browsers}, event.json()["id"])


def routes() -> dict[Row, Page]:
    app = json_app(World().services, WebOptions("0"))
    pages = [route for route in app.routes if isinstance(route, Page)]
    return {(method, page.path): page for page in pages for method in page.methods or ()}


@pytest.mark.parametrize("row", ROUTES, ids=" ".join)
def test_a_page_answers_each_visitor_as_the_table_says(site: Site, row: Row) -> None:
    expected = dict(zip(VISITORS, map(int, ROUTES[row].split()), strict=True))
    found = {visitor: site.ask(row, visitor).status_code for visitor in VISITORS}
    assert found == expected


def test_every_page_has_a_row_and_every_row_a_page() -> None:
    assert set(routes()) == set(ROUTES)


CHANGES = [row for row, page in routes().items() if row[0] != "GET"]
IN_SESSION = [row for row in CHANGES if (routes()[row].openapi_extra or {}).get("security") != []]


@pytest.mark.parametrize("row", CHANGES, ids=" ".join)
@pytest.mark.parametrize("origin", ["https://evil.example", "null", None])
def test_what_changes_something_is_refused_from_elsewhere(site: Site, row: Row, origin: str | None) -> None:
    headers = {"x-csrf-token": token_of(site.browsers["admin"]), **({"origin": origin} if origin else {})}
    assert site.ask(row, "admin", headers).status_code == 403


@pytest.mark.parametrize("row", IN_SESSION, ids=" ".join)
@pytest.mark.parametrize("token", ["", "x" * 43, "another's"])
def test_what_changes_something_is_refused_without_the_token_of_the_session(site: Site, row: Row, token: str) -> None:
    sent = token_of(site.browsers["manager"]) if token == "another's" else token
    assert site.ask(row, "admin", {"origin": site.server.url, "x-csrf-token": sent}).status_code == 403


@pytest.mark.parametrize("row", [row for row in ROUTES if row[0] == "GET"], ids=" ".join)
def test_a_bearer_token_opens_no_page(site: Site, row: Row) -> None:
    headers = {"authorization": f"Bearer {site.server.key}"}
    assert site.ask(row, "nobody", headers).status_code == int(ROUTES[row].split()[0])
