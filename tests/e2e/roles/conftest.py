"""Several processes on one database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.server import Server

Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path, postgres_url: str) -> Iterator[Start]:
    """`start("events", arguments=(…), role=…, env={…})`: another process on the database of this test."""
    running: list[Server] = []

    def start_one(name: str, *, env: dict[str, str] | None = None, **more: Any) -> Server:
        server = Server(tmp_path / name, env={"HEADRACE_DATABASE_URL": postgres_url, **(env or {})}, **more)
        running.append(server)
        return server.start()

    try:
        yield start_one
    finally:
        for server in running:
            server.close()


def every_id(client: httpx2.Client, bucket: str = "default") -> list[str]:
    """Of all events, as often as they are there."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = client.get(f"/v1/buckets/{bucket}/events", params={"limit": "1000", **cursor}).json()
        found += [event["id"] for event in page["events"]]
        if "next_cursor" not in page:
            return found
        cursor = {"cursor": page["next_cursor"]}
