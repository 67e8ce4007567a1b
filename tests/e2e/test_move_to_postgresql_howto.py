"""The commands of the how-to for PostgreSQL work as they stand: only the addresses are changed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.adapters.postgres.guarantee import Durability, guarantee
from tests.e2e.cli.command import environment
from tests.e2e.conftest import TestBucket
from tests.e2e.test_readme import ROOT, blocks
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import Cluster
from tests.support.server import Server

PAGE = "docs/howto/move-to-postgresql.md"
SERVER = "postgresql://headrace:a-long-one@db.example.com/headrace"


@pytest.fixture(scope="module")
def safe() -> Iterator[Cluster]:
    cluster = Cluster(safe=True).create()
    try:
        yield cluster.start()
    finally:
        cluster.close()


def run(script: str, data: Path, **urls: str) -> str:
    """What a reader's shell says; the names of `urls` stand for what is in the page."""
    for page, ours in urls.items():
        script = script.replace(page, ours)
    script = script.replace(".venv/bin/headrace doctor", ".venv/bin/headrace doctor --port 0")
    script = script.replace(".venv/bin/headrace", f"{sys.executable} -m headrace")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, timeout=110, env=environment(data),
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def created(page: str, cluster: Cluster) -> str:
    """The user and the database of the page, made as it says; the URL that it then has."""
    (made,) = re.findall(r"^```sql\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    for statement in made.split(";"):
        if statement.strip():
            cluster.sql(statement)
    return f"postgresql://headrace:a-long-one@127.0.0.1:{cluster.port}/headrace"


def test_the_commands_of_the_how_to_move_everything(tmp_path: Path, safe: Cluster) -> None:
    server = Server(tmp_path / "data", env={"HEADRACE_DATABASE_URL": ""})
    try:
        with server.start().client() as admin:
            TestBucket(admin, "default").record({"message": "card declined"})
        server.stop()
        url = created(PAGE, safe)
        said = run("\n".join(blocks(PAGE, "## Look before", "## Start on it")), server.data_dir, **{SERVER: url})
        assert guarantee(Durability(), "202 and 201").sentence in said
        assert re.search(r"^events +\d+ +\d+$", said, re.MULTILINE)
        assert "it is complete" in said
        server.start(env={"HEADRACE_DATABASE_URL": url})
        seen = run("\n".join(blocks(PAGE, "## See that", "## Several machines")), server.data_dir)
        assert "card declined" in seen
        with server.client() as admin:
            assert json.loads(admin.get("/v1/status").text)["store"]["events"] >= 1
    finally:
        server.close()


def test_the_urls_of_the_how_to_for_a_pooler_and_a_replica_are_good(tmp_path: Path, safe: Cluster) -> None:
    url = safe.create_database()
    name = url.rsplit("/", 1)[1]
    pooler, replica = PgBouncer(safe).start(), safe.replica().start()
    try:
        (behind,) = blocks(PAGE, "## PgBouncer", "## Replicas")
        page = "postgresql://headrace:a-long-one@10.0.0.{}/headrace"
        ours = {page.format("6:6432"): pooler.url(url), page.format("5:5432"): url}
        assert "past the pooler" in run(behind, tmp_path, **ours)
        reads, _ = blocks(PAGE, "## Replicas", "With a synchronous replica that is away")
        script = f"export HEADRACE_DATABASE_URL={url}\n{reads}"
        assert "MiB behind" in run(script, tmp_path, **{page.format("7"): replica.url(name)})
    finally:
        pooler.close()
        replica.close()
