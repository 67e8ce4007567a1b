"""Two servers behind nginx are restarted one after the other, under load, and no client notices."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.load import Load, batches, reads, singles
from tests.support.nginx import Nginx
from tests.support.server import Server


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    """Each with files of its own and the same key: what is tested is how they come and go, not what they keep."""
    first, second = Server(tmp_path / "first"), Server(tmp_path / "second")
    try:
        first.start()
        second.data_dir.mkdir()
        shutil.copy2(first.data_dir / "admin.key", second.data_dir / "admin.key")
        second.start()
        yield first, second
    finally:
        first.close()
        second.close()


def test_a_rolling_restart_fails_no_request(pair: tuple[Server, Server]) -> None:
    first, second = pair
    with (
        Nginx("headrace.conf", {8000: first.port, 8001: second.port}) as nginx,
        Load(nginx.port, first.key, singles, batches, reads, singles) as load,
    ):
        for server in (first, second, first, second):
            time.sleep(0.5)
            server.stop()
            server.start()
        time.sleep(0.5)
    assert set(load.answers) == {"singles 202", "batches 202", "reads 200"}
    assert min(load.answers.values()) > 20
