"""What else happens to servers on PostgreSQL while they serve: another primary, a database away with a spool before it,
migrations."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.chaos.faults import under_way
from tests.chaos.ledger import Ledger
from tests.chaos.outages import KillDatabase
from tests.chaos.run import Report, conclude
from tests.chaos.site import Site
from tests.chaos.traffic import Traffic
from tests.support.postgres import Cluster

pytestmark = pytest.mark.chaos

QUICK = {"HEADRACE_PLANT": "short-leases"}
SEED = random.SystemRandom().randrange(2**32)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    safe = Cluster(safe=True).create()
    try:
        yield safe.start()
    finally:
        safe.close()


@pytest.fixture
def pair() -> Iterator[tuple[Cluster, Cluster]]:
    """A primary that acknowledges what its standby shows already."""
    primary = Cluster(safe=True).create().start()
    standby = primary.replica()
    try:
        standby.start()
        primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.sql("ALTER SYSTEM SET synchronous_commit = 'remote_apply'")
        primary.sql("SELECT pg_reload_conf()")
        yield primary, standby
    finally:
        standby.close()
        primary.close()


@asynccontextmanager
async def loaded(site: Site, folder: Path) -> AsyncIterator[tuple[Traffic, Ledger]]:
    ledger = Ledger(folder / "ledger.jsonl")
    try:
        async with site:
            yield site.traffic(ledger, SEED, pause=0.03), ledger
    finally:
        ledger.close()


def clean(report: Report) -> bool:
    print(report)
    return not report.violations


async def test_a_promoted_standby_has_all_that_was_acknowledged_and_takes_more_by_itself(
    pair: tuple[Cluster, Cluster], tmp_path: Path
) -> None:
    primary, standby = pair
    site = Site(tmp_path, cluster=primary, standby=standby, module="tests.chaos.planted", env=QUICK)
    async with loaded(site, tmp_path) as (traffic, ledger):
        await under_way(traffic, 200)
        ((mode,),) = primary.sql("SELECT sync_state FROM pg_stat_replication")
        assert mode == "sync"
        await asyncio.to_thread(primary.kill)
        await asyncio.to_thread(standby.promote)
        took = await site.well(traffic)
        await under_way(traffic, 200)
        assert clean(await conclude(site.servers[0], traffic, ledger, SEED, [took]))


async def test_with_a_spool_nobody_is_refused_while_the_database_is_away_and_a_kill_loses_nothing_of_it(
    cluster: Cluster, tmp_path: Path
) -> None:
    site = Site(tmp_path, cluster=cluster, module="tests.chaos.planted", env={**QUICK, "HEADRACE_SPOOL": "1"})
    async with loaded(site, tmp_path) as (traffic, ledger):
        await KillDatabase("SIGKILL", 10.0).strike(site, traffic)
        assert traffic.refused == 0
        await asyncio.gather(*(asyncio.to_thread(server.kill) for server in site.servers))
        took = await site.recover(traffic)
        assert clean(await conclude(site.servers[0], traffic, ledger, SEED, [took], others=site.servers[1:]))


async def test_migrations_that_are_killed_again_and_again_fail_no_request(cluster: Cluster, tmp_path: Path) -> None:
    site = Site(tmp_path, cluster=cluster, servers=1)
    async with loaded(site, tmp_path) as (traffic, ledger):
        await under_way(traffic)
        for _ in range(2):
            migration = migrate(site, tmp_path)
            await asyncio.to_thread(wait_until_it_changes_tables, cluster, migration)
            migration.kill()
            assert await asyncio.to_thread(migration.wait) == -signal.SIGKILL
        assert not columns(site, cluster)
        for _ in range(2):  # once more when there is nothing to do
            assert await asyncio.to_thread(migrate(site, tmp_path).wait) == 0
            assert columns(site, cluster) == {"queue_blocks", "events", "event_days"}
        report = await conclude(site.servers[0], traffic, ledger, SEED)
        assert report.history.statuses.keys() <= {"201", "202"}
        assert clean(report)


def migrate(site: Site, folder: Path) -> subprocess.Popen[bytes]:
    """The next version's, under way."""
    env = {**os.environ, "HEADRACE_DATABASE_URL": site.url, "HEADRACE_PLANT": "next-version"}
    command = [sys.executable, "-m", "tests.chaos.planted", "migrate", "--data-dir", str(folder / "elsewhere")]
    return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL)


def wait_until_it_changes_tables(cluster: Cluster, migration: subprocess.Popen[bytes]) -> None:
    while not cluster.sql("SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(0.5)' AND state = 'active'"):
        assert migration.poll() is None, "it ended before it was killed"
        time.sleep(0.05)


def columns(site: Site, cluster: Cluster) -> set[str]:
    """The tables that the next version has changed."""
    database = site.url.rsplit("/", 1)[1]
    asked = "SELECT table_name FROM information_schema.columns WHERE column_name = 'later'"
    found = cluster.sql(asked, database=database)
    return {name for (name,) in found if not name.startswith("events_")}
