"""Every route × every kind of credential, over HTTP, each with a request that is good in itself.

A route without a row fails, and so does a row without a route. What each credential may do on the bucket `theirs`:
`wrong_bucket` is a key with everything on another one, `user` has read and write, `manager` made it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.routing import Mount

from headrace.web.app import WebOptions, json_app
from headrace.web.console.page import Page
from headrace.web.door import Door
from tests.support import profile
from tests.support.people import PASSWORD, Person, person, signed_in, unused_name
from tests.support.server import Server
from tests.unit.web.fakes import World

CREDENTIALS = (
    "none", "bad", "expired", "revoked", "wrong_bucket", "read_only", "write_only", "viewer", "user", "manager",
    "admin",
)  # fmt: skip

OPEN = "200 200 200 200 200 200 200 200 200 200 200"
READS = "401 401 401 401 404 200 403 200 200 200 200"  # events of the bucket
MANAGES = "401 401 401 401 404 403 403 403 403 {0} {0}"  # the bucket
USERS = "401 401 401 401 403 403 403 403 403 {1} {0}"  # managers read users, administrators change them
OWNERS = "401 401 401 401 404 404 404 403 404 404 {0}"  # of somebody else: it is not there
ADMIN = "401 401 401 401 403 403 403 403 403 403 {0}"
ANYONE = "401 401 401 401 200 200 200 403 200 200 200"  # who is known; a viewer token opens reads of events alone

IN_FILES = profile.NAME == profile.EMBEDDED  # a backup copies files, and a restore replaces them

Row = tuple[str, str]
BUCKET = "/v1/buckets/{bucket}"
TASK, SCHEDULE = "/v1/tasks/{id}", "/v1/schedules/{id}"
ROUTES: dict[Row, str] = {
    ("POST", "/v1/buckets"): "401 401 401 401 403 403 403 403 403 201 201",
    ("GET", "/v1/buckets"): ANYONE,
    ("GET", BUCKET): "401 401 401 401 404 200 403 403 200 200 200",
    ("PATCH", BUCKET): MANAGES.format(200),
    ("DELETE", BUCKET): MANAGES.format(204),
    ("GET", f"{BUCKET}/grants"): MANAGES.format(200),
    ("PUT", f"{BUCKET}/grants/{{user}}"): MANAGES.format(200),
    ("DELETE", f"{BUCKET}/grants/{{user}}"): MANAGES.format(204),
    ("POST", f"{BUCKET}/events"): "401 401 401 401 404 403 202 403 202 202 202",
    ("GET", f"{BUCKET}/events"): READS,
    ("GET", f"{BUCKET}/events/{{id}}"): READS,
    ("GET", f"{BUCKET}/histogram"): READS,
    ("GET", f"{BUCKET}/facets"): READS,
    ("GET", f"{BUCKET}/tail"): READS,
    ("GET", f"{BUCKET}/export"): READS,
    # The doors of signing in look at no credential: each cell has the answer to what is in the body.
    ("POST", "/v1/auth/register"): OPEN.replace("200", "202"),
    ("POST", "/v1/auth/verify"): OPEN.replace("200", "410"),
    ("POST", "/v1/auth/login"): OPEN,
    ("POST", "/v1/auth/token"): OPEN,
    ("POST", "/v1/auth/refresh"): OPEN.replace("200", "401"),
    ("POST", "/v1/auth/password-reset"): OPEN.replace("200", "202"),
    ("POST", "/v1/auth/password-reset/confirm"): OPEN.replace("200", "410"),
    ("POST", "/v1/auth/logout"): "401 401 401 401 403 403 403 403 204 204 204",
    ("GET", "/v1/auth/oidc/login"): OPEN.replace("200", "404"),
    ("GET", "/v1/auth/oidc/callback"): OPEN.replace("200", "404"),
    ("GET", "/.well-known/jwks.json"): OPEN,
    ("POST", "/v1/signing-keys/rotate"): ADMIN.format(201),
    ("GET", "/v1/users/me"): ANYONE,
    ("PATCH", "/v1/users/me"): "401 401 401 401 403 403 403 403 200 200 200",
    ("GET", "/v1/users"): USERS.format(200, 200),
    ("POST", "/v1/users"): USERS.format(201, 403),
    ("GET", "/v1/users/{id}"): "401 401 401 401 404 404 404 403 404 200 200",
    ("PATCH", "/v1/users/{id}"): "401 401 401 401 404 404 404 403 404 403 200",
    ("DELETE", "/v1/users/{id}"): "401 401 401 401 404 404 404 403 404 403 204",
    ("POST", "/v1/users/{id}/setup-link"): "401 401 401 401 404 404 404 403 404 403 201",
    ("POST", "/v1/keys"): "401 401 401 401 403 403 403 403 201 201 201",
    ("GET", "/v1/keys"): ANYONE,
    ("DELETE", "/v1/keys/{id}"): "401 401 401 401 404 404 404 403 404 404 204",
    ("POST", "/v1/viewer-tokens"): MANAGES.format(201),
    ("GET", "/v1/usage"): ANYONE,
    ("POST", "/v1/tasks"): ANYONE.replace("200", "202"),
    ("POST", "/v1/tasks/batch"): ANYONE.replace("200", "202"),
    ("GET", "/v1/tasks"): ANYONE,
    ("POST", "/v1/tasks/bulk"): ANYONE.replace("200", "202"),
    # Of a task that the administrator made: to everybody else it is not there.
    ("GET", TASK): OWNERS.format(200),
    ("PATCH", TASK): OWNERS.format(200),
    ("DELETE", TASK): OWNERS.format(200),
    ("POST", f"{TASK}/cancel"): OWNERS.format(200),
    ("POST", f"{TASK}/retry"): OWNERS.format(200),
    ("POST", f"{TASK}/heartbeat"): OWNERS.format(200),
    ("POST", f"{TASK}/complete"): OWNERS.format(200),
    ("POST", f"{TASK}/fail"): OWNERS.format(200),
    ("POST", f"{TASK}/release"): OWNERS.format(200),
    ("GET", "/v1/queues"): ANYONE,
    ("PATCH", "/v1/queues/{queue}"): ADMIN.format(200),
    ("POST", "/v1/queues/{queue}/lease"): ANYONE,
    ("POST", "/v1/schedules"): ANYONE.replace("200", "201"),
    ("GET", "/v1/schedules"): ANYONE,
    ("GET", SCHEDULE): OWNERS.format(200),
    ("PATCH", SCHEDULE): OWNERS.format(200),
    ("DELETE", SCHEDULE): OWNERS.format(204),
    ("POST", f"{SCHEDULE}/run"): OWNERS.format(202),
    ("GET", "/v1/dead-letters"): ADMIN.format(200),
    ("POST", "/v1/dead-letters/replay"): ADMIN.format(200),
    ("GET", "/v1/backup"): ADMIN.format(200 if IN_FILES else 409),
    # 400: a good one starts the server again (test_operations.py)
    ("POST", "/v1/restore"): ADMIN.format(400 if IN_FILES else 409),
    ("GET", "/v1/status"): ANYONE,
    # A file that this credential had made, if it may, else somebody else's.
    ("GET", "/v1/exports/{id}"): "401 401 401 401 404 200 404 403 200 200 200",
    ("GET", "/health/live"): OPEN,
    ("GET", "/health/ready"): OPEN,
    ("GET", "/metrics"): OPEN,
    # Not in the document (the pages of the console have a table of their own, console/test_page_matrix.py):
    ("GET", "/docs"): OPEN,
    ("GET", "/openapi.json"): OPEN,
    ("GET", "/embed"): OPEN,
    ("GET", "/embed/{bucket}/events"): READS,
}


@dataclass(frozen=True, slots=True)
class Site:
    """A server with somebody for each column."""

    server: Server
    root: httpx2.Client
    anyone: httpx2.Client
    tokens: dict[str, str | None]
    people: dict[str, Person]
    bucket: str
    event_id: str

    def headers(self, credential: str) -> dict[str, str]:
        token = self.tokens[credential]
        return {} if token is None else {"authorization": f"Bearer {token}"}


# --- The site -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    env = {
        "HEADRACE_REQUIRE_VERIFIED": "1",
        "HEADRACE_GUESSES_PER_ACCOUNT": "100000",
        "HEADRACE_GUESSES_PER_ADDRESS": "100000",
    }
    server = Server(tmp_path_factory.mktemp("matrix") / "data", env=env)
    try:
        with server.start().client() as root, server.client(key="") as anyone:
            yield _peopled(server, root, anyone)
    finally:
        server.close()


def _peopled(server: Server, root: httpx2.Client, anyone: httpx2.Client) -> Site:
    people = {role: person(server, role=role) for role in ("user", "manager", "admin")}
    manager = {"authorization": f"Bearer {people['manager'].access_token}"}
    for name in ("theirs", "another"):
        assert root.post("/v1/buckets", json={"name": name}, headers=manager).status_code == 201
    grant = {"permissions": ["read", "write"]}
    granted = root.put(f"/v1/buckets/theirs/grants/{people['user'].id}", json=grant, headers=manager)
    assert granted.status_code == 200, granted.text
    event = {"message": "x", "attributes": {"tenant": "acme"}}
    event_id = root.post("/v1/buckets/theirs/events", params={"ack": "stored"}, json=event).json()["id"]
    viewer = {"bucket": "theirs", "filter": {"attr.tenant": "acme"}, "expires_in": "1h"}
    tokens: dict[str, str | None] = {
        "none": None,
        "bad": "hr_aaaaaaaaaaaaaaaa_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
        "expired": _key(root, "theirs", "read", "write", expires_at=time.time() + 1.0)["key"],
        "revoked": _revoked(root),
        "wrong_bucket": _key(root, "another", "read", "write", "manage")["key"],
        "read_only": _key(root, "theirs", "read")["key"],
        "write_only": _key(root, "theirs", "write")["key"],
        "viewer": root.post("/v1/viewer-tokens", json=viewer, headers=manager).json()["token"],
        **{role: somebody.access_token for role, somebody in people.items()},
    }
    time.sleep(1.1)  # no clock of the server's can be moved from here: the expired key has just expired
    return Site(server, root, anyone, tokens, people, "theirs", event_id)


def _key(root: httpx2.Client, bucket: str, *permissions: str, **more: Any) -> dict[str, Any]:
    body = {"name": unused_name(), "grants": [{"bucket": bucket, "permissions": list(permissions)}], **more}
    made = root.post("/v1/keys", json=body)
    assert made.status_code == 201, made.text
    answer: dict[str, Any] = made.json()
    return answer


def _revoked(root: httpx2.Client) -> str:
    made = _key(root, "theirs", "read", "write")
    used = root.get("/v1/buckets", headers={"authorization": f"Bearer {made['key']}"})
    assert used.status_code == 200  # it is in the memory of the server: revoking must reach it there
    assert root.delete(f"/v1/keys/{made['id']}").status_code == 204
    return str(made["key"])


# --- A good request for each route --------------------------------------------------------------------------------

Asked = dict[str, Any]
"""What goes to the client; `path` has the values of the path's parameters, `as` another header of credentials."""


def _delete_bucket(site: Site, credential: str, allowed: bool) -> Asked:
    if not allowed:
        return {"params": {"confirm": site.bucket}}
    name = unused_name()
    manager = site.headers("manager")
    assert site.root.post("/v1/buckets", json={"name": name}, headers=manager).status_code == 201
    return {"path": {"bucket": name}, "params": {"confirm": name}}


def _granted(site: Site, credential: str, allowed: bool) -> Asked:
    user = _somebody(site)
    body = {"permissions": ["read"]}
    assert site.root.put(f"/v1/buckets/{site.bucket}/grants/{user}", json=body).status_code == 200
    return {"path": {"user": user}}


def _somebody(site: Site) -> str:
    name = unused_name()
    return str(site.root.post("/v1/users", json={"username": name, "email": f"{name}@example.com"}).json()["id"])


def _log_out(site: Site, credential: str, allowed: bool) -> Asked:
    """A session of its own: that of the column goes on."""
    if credential not in site.people:
        return {}
    somebody = site.people[credential]
    again = signed_in(site.server, somebody.id, somebody.username)
    return {"as": {"authorization": f"Bearer {again.access_token}"}}


def _exported(site: Site, credential: str, allowed: bool) -> Asked:
    headers = site.headers(credential) if allowed else {}
    task = {"type": "events.export", "args": {"bucket": site.bucket}}
    made = site.root.post("/v1/tasks", json=task, headers=headers).json()
    ended = site.root.get(f"/v1/tasks/{made['id']}", params={"wait": "30s"}, headers=headers).json()
    assert ended["status"] == "succeeded", ended
    return {"path": {"id": made["id"]}}


def _registration(site: Site, credential: str, allowed: bool) -> Asked:
    name = unused_name()
    return {"json": {"username": name, "email": f"{name}@example.com", "password": PASSWORD}}


def _login(site: Site, credential: str, allowed: bool) -> Asked:
    return {"json": {"username": site.people["user"].username, "password": PASSWORD}}


def _task(site: Site, credential: str, allowed: bool) -> Asked:
    """One that waits."""
    made = site.root.post("/v1/tasks", json={"type": "matrix", "queue": unused_name()})
    assert made.status_code == 202, made.text
    return {"path": {"id": made.json()["id"]}}


def _ended(site: Site, credential: str, allowed: bool) -> Asked:
    asked = _task(site, credential, allowed)
    assert site.root.post(f"/v1/tasks/{asked['path']['id']}/cancel").status_code == 200
    return asked


def _leased(**more: Any) -> Callable[[Site, str, bool], Asked]:
    def asked(site: Site, credential: str, allowed: bool) -> Asked:
        queue = unused_name()
        assert site.root.post("/v1/tasks", json={"type": "matrix", "queue": queue}).status_code == 202
        (task,) = site.root.post(f"/v1/queues/{queue}/lease", json={}).json()["tasks"]
        return {"path": {"id": task["id"]}, "json": {"lease": task["lease"], **more}}

    return asked


def _schedule(**more: Any) -> Callable[[Site, str, bool], Asked]:
    def asked(site: Site, credential: str, allowed: bool) -> Asked:
        made = site.root.post("/v1/schedules", json=_nightly())
        assert made.status_code == 201, made.text
        return {"path": {"id": made.json()["id"]}, **more}

    return asked


def _nightly() -> dict[str, Any]:
    return {"name": unused_name(), "cron": "30 3 * * *", "task": {"type": "matrix"}}


GOOD: dict[Row, Callable[[Site, str, bool], Asked]] = {
    ("POST", "/v1/buckets"): lambda site, who, allowed: {"json": {"name": unused_name()}},
    ("PATCH", BUCKET): lambda site, who, allowed: {"json": {"description": "theirs"}},
    ("DELETE", BUCKET): _delete_bucket,
    ("PUT", f"{BUCKET}/grants/{{user}}"): lambda site, who, allowed: {
        "path": {"user": _somebody(site)}, "json": {"permissions": ["read"]},
    },
    ("DELETE", f"{BUCKET}/grants/{{user}}"): _granted,
    ("POST", f"{BUCKET}/events"): lambda site, who, allowed: {"json": {"message": "hello"}},
    ("GET", f"{BUCKET}/events/{{id}}"): lambda site, who, allowed: {"path": {"id": site.event_id}},
    ("GET", f"{BUCKET}/facets"): lambda site, who, allowed: {"params": {"fields": "service"}},
    ("POST", "/v1/auth/register"): _registration,
    ("POST", "/v1/auth/verify"): lambda site, who, allowed: {"json": {"token": "a" * 43}},
    ("POST", "/v1/auth/login"): _login,
    ("POST", "/v1/auth/token"): lambda site, who, allowed: {"data": _login(site, who, allowed)["json"]},
    ("POST", "/v1/auth/refresh"): lambda site, who, allowed: {"json": {"refresh_token": "a" * 43}},
    ("POST", "/v1/auth/password-reset"): lambda site, who, allowed: {"json": {"email": "nobody@example.com"}},
    ("POST", "/v1/auth/password-reset/confirm"): lambda site, who, allowed: {
        "json": {"token": "a" * 43, "password": PASSWORD},
    },
    ("POST", "/v1/auth/logout"): _log_out,
    ("PATCH", "/v1/users/me"): lambda site, who, allowed: {"json": {"first_name": "Ada"}},
    ("POST", "/v1/users"): lambda site, who, allowed: {"json": {"username": unused_name()}},
    ("GET", "/v1/users/{id}"): lambda site, who, allowed: {"path": {"id": _somebody(site)}},
    ("PATCH", "/v1/users/{id}"): lambda site, who, allowed: {
        "path": {"id": _somebody(site)}, "json": {"disabled": True},
    },
    ("DELETE", "/v1/users/{id}"): lambda site, who, allowed: {"path": {"id": _somebody(site)}},
    ("POST", "/v1/users/{id}/setup-link"): lambda site, who, allowed: {"path": {"id": _somebody(site)}},
    ("POST", "/v1/keys"): lambda site, who, allowed: {
        "json": {"name": "k", "grants": [{"bucket": site.bucket, "permissions": ["read"]}]},
    },
    ("DELETE", "/v1/keys/{id}"): lambda site, who, allowed: {
        "path": {"id": _key(site.root, site.bucket, "read")["id"]},
    },
    ("POST", "/v1/viewer-tokens"): lambda site, who, allowed: {
        "json": {"bucket": site.bucket, "filter": {"attr.tenant": "acme"}, "expires_in": 60},
    },
    ("POST", "/v1/tasks"): lambda site, who, allowed: {"json": {"type": "matrix"}},
    ("POST", "/v1/tasks/batch"): lambda site, who, allowed: {"json": [{"type": "matrix"}]},
    ("POST", "/v1/tasks/bulk"): lambda site, who, allowed: {
        "json": {"action": "retry", "filter": {"type": unused_name()}},
    },
    ("GET", TASK): _task,
    ("PATCH", TASK): lambda site, who, allowed: {**_task(site, who, allowed), "json": {"priority": 1}},
    ("DELETE", TASK): _ended,
    ("POST", f"{TASK}/cancel"): _task,
    ("POST", f"{TASK}/retry"): _ended,
    ("POST", f"{TASK}/heartbeat"): _leased(),
    ("POST", f"{TASK}/complete"): _leased(result=1),
    ("POST", f"{TASK}/fail"): _leased(error="x"),
    ("POST", f"{TASK}/release"): _leased(),
    ("PATCH", "/v1/queues/{queue}"): lambda site, who, allowed: {
        "path": {"queue": unused_name()}, "json": {"paused": True},
    },
    ("POST", "/v1/queues/{queue}/lease"): lambda site, who, allowed: {"path": {"queue": unused_name()}, "json": {}},
    ("POST", "/v1/schedules"): lambda site, who, allowed: {"json": _nightly()},
    ("GET", SCHEDULE): _schedule(),
    ("PATCH", SCHEDULE): _schedule(json={"enabled": False}),
    ("DELETE", SCHEDULE): _schedule(),
    ("POST", f"{SCHEDULE}/run"): _schedule(),
    ("POST", "/v1/dead-letters/replay"): lambda site, who, allowed: {"json": {"since": "2026-01-01T00:00:00Z"}},
    ("GET", "/v1/exports/{id}"): _exported,
    ("POST", "/v1/restore"): lambda site, who, allowed: {
        "content": b"no tar", "headers": {"content-type": "application/x-tar"},
    },
}  # fmt: skip


def ask(site: Site, row: Row, credential: str, expected: int) -> int:
    """The status that this credential gets. Of a stream only the head is read."""
    method, path = row
    asked = GOOD.get(row, lambda site, who, allowed: {})(site, credential, expected < 300)
    path = path.format_map({"bucket": site.bucket, **asked.pop("path", {})})
    headers = asked.pop("headers", {}) | asked.pop("as", site.headers(credential))
    with site.anyone.stream(method, path, headers=headers, **asked) as answer:
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.status_code == 401) == ("www-authenticate" in answer.headers)
        return answer.status_code


@pytest.mark.parametrize("row", ROUTES, ids=" ".join)
def test_a_route_answers_each_credential_as_the_table_says(site: Site, row: Row) -> None:
    expected = dict(zip(CREDENTIALS, map(int, ROUTES[row].split()), strict=True))
    found = {credential: ask(site, row, credential, status) for credential, status in expected.items()}
    assert found == expected


def test_every_route_has_a_row_and_every_row_a_route(site: Site) -> None:
    document = site.root.get("/openapi.json").json()
    routes = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    assert routes | hidden(json_app(World().services, WebOptions("0"))) == set(ROUTES)


def hidden(app: FastAPI) -> set[Row]:
    """Routes that the document leaves out."""
    doors = [route for route in app.routes if isinstance(route, Door) and not route.include_in_schema]
    return {(method, door.path) for door in doors for method in door.methods or ()}


def test_a_route_of_a_new_noun_would_be_missed_by_nobody() -> None:
    app = json_app(World().services, WebOptions("0"))
    assert {type(route) for route in app.routes} == {Door, Page, Mount}  # no other kind that could hide
    assert {route.path for route in app.routes if isinstance(route, Mount)} == {"/static", "/static/console"}


@pytest.mark.parametrize("row", ROUTES, ids=" ".join)
def test_a_session_of_the_console_opens_no_door(site: Site, row: Row) -> None:
    """The API looks at no cookie, so there is nothing that another site could make a browser do here."""
    person = site.people["admin"]
    origin = {"origin": site.server.url}
    with site.server.client(key="") as browser:
        form = {"username": person.username, "password": PASSWORD}
        assert browser.post("/sign-in", data=form, headers=origin).status_code == 303
        expected = int(ROUTES[row].split()[0])
        assert ask(replace(site, anyone=browser), row, "none", expected) == expected
