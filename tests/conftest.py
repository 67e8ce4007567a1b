"""Fixtures that every suite shares."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support import profile
from tests.support.postgres import Cluster
from tests.support.server import Server


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist there is no such hook
def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: as many as there are cores, at least two. With two more, tests that measure time sometimes failed."""
    return max(2, os.cpu_count() or 1)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`@pytest.mark.embedded("why")`: what only files of ours have."""
    marker = item.get_closest_marker("embedded")
    if marker is not None and profile.NAME != profile.EMBEDDED:
        pytest.skip(f"on the embedded profile only: {marker.args[0]}")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A running server with an empty data directory, for tests that stop, kill or fill it."""
    running = Server(tmp_path / "data")
    try:
        yield running.start()
    finally:
        running.close()


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for many tests: each makes a bucket of its own and leaves the process alone."""
    running = Server(tmp_path_factory.mktemp("shared") / "data")
    try:
        yield running.start()
        running.stop()
    finally:
        running.close()


@pytest.fixture
def client(shared_server: Server) -> Iterator[httpx2.Client]:
    """A client of the shared server with the administrator's key."""
    with shared_server.client() as connected:
        yield connected


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """One PostgreSQL for many tests: each makes a database of its own and leaves the server alone."""
    cluster = Cluster(safe=False).create()
    try:
        yield cluster.start()
    finally:
        cluster.close()


@pytest.fixture
def postgres_url(postgres: Cluster) -> Iterator[str]:
    """The URL of an empty database."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)
