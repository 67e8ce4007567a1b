"""Pages of the console in Debian's Chromium, on the shared server. Whatever a page does wrong fails its test."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Response, StorageState, expect

from headrace.cli.traffic import generate
from headrace.kit.times import DAY, SECOND
from tests.e2e.conftest import Event, TestBucket
from tests.e2e.console.visits import NOBODY, Visit
from tests.e2e.console.worker import Worker
from tests.support.browser import WIDE, Watch, browser_running, signed_in
from tests.support.people import PASSWORD, Person, person, unused_name
from tests.support.server import Server

__all__ = ["Opened", "recorded", "signed_in"]

_HERE = Path(__file__).parent
_TWICE = pytest.mark.flaky(reruns=1)  # a real browser beside a busy machine: a fault must show twice


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(_TWICE)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this folder."""
    expect.set_options(timeout=30_000)  # long enough for a busy machine: what is well waits for none of it
    with browser_running() as running:
        yield running


@dataclass
class Opened:
    """Opens pages that share nothing with each other, and watches them all."""

    browser: Browser
    server: Server
    watches: dict[BrowserContext, Watch] = field(default_factory=dict)

    def page(self, size: tuple[int, int] = WIDE, **options: Any) -> Page:
        """A page of its own context, as new as a private window. `options` are Playwright's for a context."""
        given = {"base_url": self.server.url, "locale": "en-GB", "timezone_id": "Europe/Berlin", **options}
        context = self.browser.new_context(viewport={"width": size[0], "height": size[1]}, **given)
        self.watches[context] = Watch(context, self.server.url)
        return context.new_page()

    def page_of(self, person: Person, size: tuple[int, int] = WIDE, **options: Any) -> Page:
        """A page with a new session of this person, and nothing in it yet. The form and the overview behind it are left
        out: together they take a second of CPU, and have tests of their own."""
        page = self.page(size, **options)
        form = {"username": person.username, "password": PASSWORD}
        answer = page.request.post("/sign-in", form=form, headers={"origin": self.server.url}, max_redirects=0)
        assert answer.status == 303, answer.text()
        return page

    def watch(self, page: Page) -> Watch:
        """What the context of this page complained of, and what it asked for."""
        return self.watches[page.context]

    def close(self) -> None:
        """No page asks for anything any more."""
        for context in self.watches:
            context.close()

    @contextmanager
    def all_closed(self) -> Iterator[Opened]:
        with ExitStack() as stack:
            stack.callback(self.close)
            yield self
        for watch in self.watches.values():
            watch.assert_nothing_wrong()


@pytest.fixture
def opened(browser: Browser, shared_server: Server) -> Iterator[Opened]:
    with Opened(browser, shared_server).all_closed() as pages:
        yield pages


@pytest.fixture
def bucket(bucket: TestBucket, opened: Opened) -> Iterator[TestBucket]:
    """Its pages are closed before it is deleted: one that still loads its parts would be told that it is gone."""
    yield bucket
    opened.close()


@pytest.fixture
def watch(opened: Opened, page: Page) -> Watch:
    """Of `page`: `watch.forgive("404")` where a test is about one."""
    return opened.watch(page)


@pytest.fixture
def page(opened: Opened) -> Page:
    """Nobody is signed in."""
    return opened.page()


@pytest.fixture
def admin(shared_server: Server) -> Person:
    return person(shared_server, role="admin")


@pytest.fixture
def manager(shared_server: Server) -> Person:
    return person(shared_server, role="manager")


@pytest.fixture
def user(shared_server: Server) -> Person:
    return person(shared_server)


@pytest.fixture
def admin_page(opened: Opened, admin: Person) -> Page:
    return opened.page_of(admin)


@pytest.fixture
def manager_page(opened: Opened, manager: Person) -> Page:
    return opened.page_of(manager)


@pytest.fixture
def user_page(opened: Opened, user: Person) -> Page:
    return opened.page_of(user)


@pytest.fixture
def worker(shared_server: Server, user: Person) -> Iterator[Worker]:
    made = Worker(shared_server, user)
    with made.client:
        yield made


@pytest.fixture
def admin_worker(shared_server: Server, admin: Person) -> Iterator[Worker]:
    made = Worker(shared_server, admin)
    with made.client:
        yield made


def recorded(bucket: TestBucket, n: int, make: Callable[[int], Event] | None = None, **fields: Any) -> list[Event]:
    """n events of the last hour, a second apart, that can be queried now; as `make` says or of several kinds."""
    now = datetime.now().astimezone()
    events = [_of_several_kinds(number) if make is None else make(number) for number in range(n)]
    for number, event in enumerate(events):
        event.setdefault("time", (now - timedelta(seconds=n - number)).isoformat())
        event.setdefault("id", str(uuid.uuid4()))
        event.update(fields)
    answer = bucket.post("\n".join(map(json.dumps, events)).encode(), "application/x-ndjson", ack="stored")
    assert answer.status_code == 201, answer.text
    assert answer.json()["rejected"] == 0, answer.text
    return events


def _of_several_kinds(number: int) -> Event:
    level = ("info", "info", "info", "debug", "warning", "info", "error", "info")[number % 8]
    return {
        "level": level,
        "service": ("billing", "gateway", "worker")[number % 3],
        "action": ("invoice.paid", "user.signed_in", "task.finished", "card.declined")[number % 4],
        "actor": {"id": f"user-{number % 7}", "type": "user", "name": f"Ada {number % 7}"},
        "target": {"id": f"inv-{number}", "type": "invoice"},
        "outcome": "failure" if level == "error" else "success",
        "message": f"event number {number}",
        "attributes": {"amount": f"{number}.00", "ip": f"203.0.113.{number % 250}"},
        "trace_id": f"{number // 5:032x}",
    }


@dataclass(frozen=True, slots=True)
class Sights:
    """What there is to see for those who change nothing: made once. `names` fill in the addresses of visits."""

    names: dict[str, str]
    people: dict[str, Person]
    sessions: dict[str, StorageState] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Visits:
    """Goes to a page as whoever the visit says."""

    opened: Opened
    sights: Sights

    def page(self, visit: Visit, **options: Any) -> Page:
        """A page of someone who may visit; nothing is looked at yet. Signed in through the form once for each role."""
        known = self.sights.sessions.get(visit.who)
        page = self.opened.page(**options, **({"storage_state": known} if known else {}))
        if visit.who != NOBODY and known is None:
            signed_in(page, self.sights.people[visit.who])
            self.sights.sessions[visit.who] = page.context.storage_state()
        if visit.status != 200:
            self.opened.watch(page).forgive(f"status of {visit.status} ")
        return page

    def go(self, page: Page, visit: Visit) -> Response:
        """The page is there, and says its status."""
        answer = page.goto(visit.at.format_map(self.sights.names))
        assert answer
        assert answer.status == visit.status, f"{answer.status} at {answer.url}"
        expect(page.locator(visit.shown).first).to_be_visible()
        return answer


@pytest.fixture(scope="package")
def sights(shared_server: Server) -> Sights:
    """A bucket with a day of traffic, a key for it, and somebody with each role."""
    people = {role: person(shared_server, role=role) for role in ("admin", "manager", "user")}
    with shared_server.client() as client:
        bucket = TestBucket(client, unused_name())
        assert client.post("/v1/buckets", json={"name": bucket.name}).status_code == 201
        lines = b"".join(generate(400, 7, time.time_ns() // 1000 - DAY, span=DAY - SECOND))
        assert bucket.post(lines, "application/x-ndjson", ack="stored").status_code == 201
        wanted = {"name": "a key", "grants": [{"bucket": bucket.name, "permissions": ["read", "write"]}]}
        key = client.post("/v1/keys", json=wanted).json()["id"]
        event = bucket.list(limit=1)[0]["id"]
        names = {"bucket": bucket.name, "event": event, "user": people["user"].id, "key": key, **_tasks_of(client)}
    return Sights(names, people)


def _tasks_of(client: httpx2.Client) -> dict[str, str]:
    """A task that has failed, one that waits, and a schedule."""
    bad = {"type": "http.request", "args": {"url": "http://127.0.0.1:9/", "method": "GET"}, "max_attempts": 1}
    failed = client.post("/v1/tasks", json=bad).json()["id"]
    ended = client.get(f"/v1/tasks/{failed}", params={"wait": "30s"}).json()
    assert ended["status"] in ("failed", "dead"), ended
    waiting = client.post("/v1/tasks", json={"type": "nobody.does", "args": {"a": [1, {"b": None}]}}).json()["id"]
    task = {"type": "add", "args": {"a": 1, "b": 2}}
    schedule = {"name": unused_name(), "cron": "0 9 * * *", "timezone": "Europe/Berlin", "task": task}
    return {"task": failed, "waiting": waiting, "schedule": client.post("/v1/schedules", json=schedule).json()["id"]}


@pytest.fixture
def visits(opened: Opened, sights: Sights) -> Visits:
    return Visits(opened, sights)
