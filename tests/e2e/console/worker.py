"""A worker of tasks over HTTP, which says itself when something happens; and what pages of tasks show."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Locator, Page

from tests.support.people import Person, unused_name
from tests.support.server import Server

Fields = dict[str, Any]


class Worker:
    """Submits, leases and ends tasks of one person, in a queue of their own."""

    def __init__(self, server: Server, person: Person) -> None:
        self.client = server.client(key=person.access_token)
        self.queue = unused_name()

    def submit(self, kind: str = "nobody.does", args: Fields | None = None, **more: Any) -> str:
        body = {"type": kind, "args": args or {}, "queue": self.queue, **more}
        made: str = self.post("/v1/tasks", body)["id"]
        return made

    def lease(self) -> Fields:
        (task,) = self.post(f"/v1/queues/{self.queue}/lease", {"wait": "10s", "lease_seconds": 60})["tasks"]
        found: Fields = task
        return found

    def tell(self, task: Fields, how: str, **said: Any) -> Fields:
        return self.post(f"/v1/tasks/{task['id']}/{how}", {"lease": task["lease"], **said})

    def get(self, task_id: str, wait: str = "10s") -> Fields:
        answer = self.client.get(f"/v1/tasks/{task_id}", params={"wait": wait})
        found: Fields = answer.raise_for_status().json()
        return found

    def post(self, path: str, body: Fields) -> Fields:
        answer = self.client.post(path, json=body)
        assert answer.is_success, answer.text
        made: Fields = answer.json()
        return made


def state(page: Page) -> Locator:
    return page.locator("#task h1 .badge").first


def rows(page: Page) -> Locator:
    return page.locator("[data-task]")
