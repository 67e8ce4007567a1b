"""What people have: the machine's package log, this repository's history, a day of traffic. Every line is found."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from headrace.cli.traffic import generate
from headrace.kit.times import from_datetime
from tests.e2e.cli.command import Cli

_ROOT = Path(__file__).parents[3]
_DPKG_LOG = Path("/var/log/dpkg.log")


def test_every_line_of_the_package_log_is_found(cli: Cli) -> None:
    log = _DPKG_LOG if _DPKG_LOG.exists() else _ROOT / "tests" / "samples" / "dpkg.log"
    lines = [line for line in log.read_text().splitlines() if line.strip()]
    cli.send(log, "--service", "dpkg", "--utc")
    found = Counter(f"{event['time']} {event['message']}" for event in cli.events("service=dpkg", count=len(lines)))
    assert found == Counter(f"{line[:10]}T{line[11:19]}.000000Z {line[20:]}" for line in lines)


def test_every_commit_of_the_repository_is_found_as_an_audit_event(cli: Cli, tmp_path: Path) -> None:
    history = subprocess.run(
        ["git", "log", "--format=%H%x1f%aI%x1f%an%x1f%ae%x1f%s%x1e"], capture_output=True, cwd=_ROOT, check=False
    )
    if history.returncode:
        pytest.skip("not a clone")
    commits = [entry.strip().split("\x1f") for entry in history.stdout.decode().split("\x1e") if entry.strip()]
    file = tmp_path / "history.json"
    file.write_text(json.dumps([audit_event(*commit) for commit in commits], indent=1))
    cli.send(file, "--set", "repository=headrace")
    found = {event["target"]["id"]: event for event in cli.events("--action", "commit.*", count=len(commits))}
    for commit, time, name, email, subject in commits:
        event = found[commit]
        assert (event["message"], event["actor"]["id"], event["actor"]["name"]) == (subject, email, name)
        assert datetime.fromisoformat(event["time"]) == datetime.fromisoformat(time)
        assert event["attributes"] == {"repository": "headrace"}


def audit_event(commit: str, time: str, name: str, email: str, subject: str) -> dict[str, object]:
    return {
        "time": time, "action": "commit.made", "message": subject, "outcome": "success", "service": "git",
        "actor": {"id": email, "type": "user", "name": name}, "target": {"id": commit, "type": "commit"},
    }  # fmt: skip


def test_every_event_of_a_generated_day_is_found(cli: Cli, tmp_path: Path) -> None:
    day = datetime(2026, 11, 19, tzinfo=UTC)
    lines = list(generate(20_000, 11, from_datetime(day), numbered=True))
    (tmp_path / "day.ndjson").write_bytes(b"".join(lines))
    cli.send(tmp_path / "day.ndjson")
    found = {event["attributes"]["n"]: event for event in cli.events("--since", "2026-11-19T00:00:00Z", count=20_000)}
    for number, line in enumerate(lines):
        assert as_sent(found[number]) == normalised(json.loads(line))


def as_sent(event: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in event.items() if name not in ("id", "bucket", "received_at")}


def normalised(event: dict[str, object]) -> dict[str, object]:
    time = datetime.fromisoformat(str(event["time"])).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    actor = {"id": event["actor"]} if isinstance(event["actor"], str) else event["actor"]
    return event | {"time": time, "actor": actor}
