"""The disk of the task table is full: nothing is acknowledged, nothing that was is lost, and it goes on by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.chaos.http import Connection
from tests.chaos.ledger import Ledger
from tests.chaos.run import start
from tests.chaos.tasks.run import conclude_tasks, environment, listed
from tests.chaos.tasks.test_kills import clean
from tests.chaos.tasks.traffic import TaskTraffic
from tests.chaos.test_chaos import fill, new_seed, small_disk, until
from tests.support.server import Server

__all__ = ["small_disk"]
pytestmark = pytest.mark.chaos


async def test_a_full_disk_refuses_tasks_and_resumes_when_there_is_room(small_disk: Path, tmp_path: Path) -> None:
    server = Server(small_disk, env={"HEADRACE_MIN_FREE_BYTES": "0", **environment(tmp_path)})
    ledger = Ledger(tmp_path / "ledger.jsonl")
    try:
        await start(server)
        traffic = TaskTraffic([server.port], server.key, ledger, new_seed(), most=10**6, seconds=0.05)
        traffic.start()
        await until(lambda: traffic.acknowledged > 100)
        ballast = small_disk / "ballast"
        await asyncio.to_thread(fill, ballast)
        await until(lambda: traffic.refused > 20)
        connection = Connection(server.port, server.key)
        assert len(await listed(connection)) > 100  # what is there can be read
        connection.close()
        ballast.unlink()
        acknowledged = traffic.acknowledged
        await until(lambda: traffic.acknowledged > acknowledged + 100)
        traffic.end()
        report = await conclude_tasks(tmp_path, server, traffic, ledger, 0)
        assert report.history.statuses["503"] > 20
        assert clean(report)
    finally:
        server.close()
        ledger.close()
