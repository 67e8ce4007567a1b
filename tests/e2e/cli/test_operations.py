"""`headrace doctor`, `bench`, `backup` and `restore`, and how quickly help comes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.cli.command import Cli
from tests.support.server import Server


def messages(server: Server) -> set[str]:
    cli = Cli(server)
    cli.settle()
    return set(cli("query", "-n", 0, "-o", "csv").stdout.decode().split("\r\n")[1:-1])


@pytest.mark.embedded("a backup copies files")
def test_a_backup_can_be_restored_while_the_server_runs(server: Server, tmp_path: Path) -> None:
    cli = Cli(server)
    cli.send(stdin=b"before\n")
    kept = messages(server)
    folder = cli("backup", tmp_path / "backups").stdout.decode().strip()
    cli.send(stdin=b"after\n")
    assert len(messages(server)) == 2
    cli("restore", folder, "--yes")
    assert messages(server) == kept


@pytest.mark.embedded("a backup copies files")
def test_a_backup_can_be_restored_without_a_server(server: Server, tmp_path: Path) -> None:
    cli = Cli(server)
    cli.send(stdin=b"before\n")
    kept = messages(server)
    folder = cli("backup", tmp_path / "backups").stdout.decode().strip()
    cli.send(stdin=b"after\n")
    server.stop()
    assert b"next server" in cli("restore", folder, "--yes").stdout
    server.start()
    assert messages(server) == kept


@pytest.mark.embedded("a backup copies files")
def test_tasks_and_schedules_are_in_a_backup_and_one_from_before_them_has_none(server: Server, tmp_path: Path) -> None:
    cli = Cli(server)
    with server.client() as admin:
        made = admin.post("/v1/tasks", json={"type": "by-hand", "idempotency_key": "once"}).json()
        nightly = {"name": "nightly", "cron": "0 3 * * *", "task": {"type": "by-hand"}}
        assert admin.post("/v1/schedules", json=nightly).status_code == 201
        folder = Path(cli("backup", tmp_path / "backups").stdout.decode().strip())
        assert admin.post(f"/v1/tasks/{made['id']}/cancel").status_code == 200
        assert admin.delete(f"/v1/schedules/{admin.get('/v1/schedules').json()['schedules'][0]['id']}").is_success
    cli("restore", folder, "--yes")
    assert _tasks_of(server) == [(made["id"], "queued")]
    _without_tasks(folder)
    cli("restore", folder, "--yes")
    assert _tasks_of(server) == []


def _tasks_of(server: Server) -> list[tuple[str, str]]:
    with server.client() as admin:
        tasks = admin.get("/v1/tasks", params={"type": "by-hand"}).json()["tasks"]
        return [(task["id"], task["status"]) for task in tasks]


def _without_tasks(folder: Path) -> None:
    """As a backup was before there were tasks."""
    (folder / "tasks.db").unlink()
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["tasks.db"]
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.embedded("a backup copies files")
def test_what_is_no_whole_backup_is_refused(server: Server, tmp_path: Path) -> None:
    cli = Cli(server)
    folder = Path(cli("backup", tmp_path / "backups").stdout.decode().strip())
    assert str(folder).encode() in cli("restore", tmp_path / "backups", "--yes", expect=2).stderr
    with (folder / "control.db").open("r+b") as file:
        file.write(b"X")
    cli("restore", folder, "--yes", expect=4)
    server.stop()
    cli("restore", folder, "--yes", expect=1)
    server.start()


@pytest.mark.embedded("a backup copies files")
def test_a_restore_asks_first(server: Server, tmp_path: Path) -> None:
    cli = Cli(server)
    folder = cli("backup", tmp_path / "backups").stdout.decode().strip()
    cli.send(stdin=b"after\n")
    cli("restore", folder, stdin=b"n\n", expect=1)
    assert len(messages(server)) == 1


@pytest.mark.embedded("the servers of these tests run without fsync: test_doctor_postgres.py has one of its own")
def test_doctor_looks_at_everything_and_finds_the_server(cli: Cli) -> None:
    lines = cli("doctor").stdout.decode().splitlines()
    found = {line[6:28].strip(): line[:5].strip() for line in lines if not line.startswith(" ")}
    assert {"python", "apsw", "duckdb", "sqlite (queue)", "data directory", "fsync", "server"} <= found.keys()
    assert "fail" not in found.values()
    assert any(f"served by process {cli.server.process.pid}" in line for line in lines if cli.server.process)


def test_doctor_fails_when_another_program_has_the_port(cli: Cli, tmp_path: Path) -> None:
    done = cli("doctor", "--port", cli.server.port, "--data-dir", tmp_path / "new", expect=1)
    assert b"another Headrace answers there" in done.stdout


def test_doctor_says_whether_the_modules_of_handlers_can_be_imported(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text('from headrace.handlers import task\n\n@task("mine")\ndef mine(): ...\n')
    words = ("doctor", "--port", 0, "--data-dir", tmp_path)
    good = cli(*words, HEADRACE_TASK_MODULES="mine", PYTHONPATH=str(tmp_path), HEADRACE_DATABASE_URL="")
    assert b"handlers of add, http.request, mine" in good.stdout
    bad = cli(*words, HEADRACE_TASK_MODULES="mine,nowhere", PYTHONPATH=str(tmp_path), expect=1)
    assert b"cannot import nowhere: ModuleNotFoundError" in bad.stdout


def test_doctor_fails_on_a_key_that_others_may_read(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "admin.key").write_text("hr_x_y")
    (tmp_path / "admin.key").chmod(0o644)
    assert b"chmod 600" in cli("doctor", "--port", 0, "--data-dir", tmp_path, expect=1).stdout


def test_bench_shows_a_table_and_leaves_nothing(cli: Cli) -> None:
    shown = cli("bench", "--seconds", 0.5, "--connections", 4).stdout.decode()
    assert "single events" in shown
    assert "202: " in shown
    assert "bench-" not in cli("buckets", "list").stdout.decode()


def test_bench_loads_no_other_machine_unasked(cli: Cli) -> None:
    assert b"--yes" in cli("bench", "--url", "http://192.0.2.1:8000", "--key", "x", expect=2).stderr


def test_a_generated_day_is_the_same_for_the_same_seed(cli: Cli, tmp_path: Path) -> None:
    options = ("--generate", 500, "--seed", 9, "--start", "2026-11-20")
    cli("bench", *options, "-o", tmp_path / "day.ndjson")
    assert cli("bench", *options).stdout == (tmp_path / "day.ndjson").read_bytes()


def test_help_imports_nothing_heavy() -> None:
    heavy = {"httpx2", "msgspec", "pydantic", "fastapi", "duckdb", "apsw", "pyarrow", "rich.progress"}
    code = f"import sys, headrace.cli.app; print(*sys.modules.keys() & {heavy})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.strip() == ""
