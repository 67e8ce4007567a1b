"""On which profile the servers of the tests run: `HEADRACE_TEST_PROFILE=postgres ./dev test …` changes only the URL."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.postgres import Cluster

EMBEDDED, POSTGRES = "embedded", "postgres"
NAME = os.environ.get("HEADRACE_TEST_PROFILE", EMBEDDED)
_urls: dict[Path, str] = {}


def environment(data_dir: Path) -> dict[str, str]:
    """What the environment of a server with this data directory says of its databases: the same at each start."""
    if NAME == EMBEDDED:
        return {}
    if data_dir not in _urls:
        _urls[data_dir] = _cluster().create_database(_template())
    return {"HEADRACE_DATABASE_URL": _urls[data_dir]}


def forget(data_dir: Path) -> None:
    """The server will not be started again."""
    if data_dir in _urls:
        _cluster().drop_database(_urls.pop(data_dir))


@cache
def _cluster() -> Cluster:
    """One for all servers of this process, until it ends. Without fsync: the tests of this profile kill Headrace, and
    those of tests/chaos have a PostgreSQL of their own to kill."""
    from tests.support.postgres import Cluster

    cluster = Cluster(safe=False, settings={"max_connections": "500"}).create().start()
    atexit.register(cluster.close)
    return cluster


@cache
def _template() -> str:
    """The name of a database with all tables, which takes 0.1 s to copy, and 1 s to make."""
    url = _cluster().create_database()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "headrace", "migrate", "--data-dir", folder],
            env={**inherited, "HEADRACE_DATABASE_URL": url}, stdout=subprocess.DEVNULL, check=True,
        )  # fmt: skip
    return url.rsplit("/", 1)[1]
