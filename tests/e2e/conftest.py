"""A bucket of its own for each test, on a server that many share."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import httpx2
import pytest

Event = dict[str, Any]


class TestBucket:
    """A bucket over HTTP."""

    __test__ = False  # pytest would take the name for a suite

    def __init__(self, client: httpx2.Client, name: str) -> None:
        self.client, self.name, self.path = client, name, f"/v1/buckets/{name}"

    def record(self, *events: Event | str, **query: str) -> httpx2.Response:
        """Send as lines (texts are lines as they stand); answered once they can be queried."""
        lines = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in events)
        return self.post(lines.encode(), "application/x-ndjson", **{"ack": "stored", **query})

    def post(
        self, body: bytes, kind: str = "application/json", headers: dict[str, str] | None = None, **query: str
    ) -> httpx2.Response:
        return self.client.post(
            f"{self.path}/events", content=body, headers={"content-type": kind, **(headers or {})}, params=query
        )

    def list(self, **query: Any) -> list[Event]:
        found: list[Event] = self.get("events", **query)["events"]
        return found

    def messages(self, **query: Any) -> list[str]:
        return [event["message"] for event in self.list(**query)]

    def get(self, noun: str, **query: Any) -> Any:
        answer = self.client.get(f"{self.path}/{noun}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def bucket(client: httpx2.Client) -> Iterator[TestBucket]:
    name = f"t-{uuid.uuid4().hex[:12]}"
    made = client.post("/v1/buckets", json={"name": name})
    assert made.status_code == 201, made.text
    yield TestBucket(client, name)
    client.delete(f"/v1/buckets/{name}", params={"confirm": name})


def assert_problem(answer: httpx2.Response, status: int | Sequence[int], code: str | None = None) -> dict[str, Any]:
    """The answer is a whole problem+json of this status (and code)."""
    statuses = [status] if isinstance(status, int) else status
    assert answer.status_code in statuses, f"{answer.status_code}: {answer.text[:500]}"
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == answer.status_code
    assert document["title"]
    assert document["detail"]
    assert document["type"].startswith("/problems/")
    if code is not None:
        assert document["type"] == f"/problems/{code}"
    return document
