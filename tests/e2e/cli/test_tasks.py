"""`headrace tasks` as a person runs it."""

from __future__ import annotations

import json

from tests.e2e.cli.command import Cli
from tests.support.people import unused_name


def test_five_and_ten_at_the_command_line(cli: Cli) -> None:
    assert cli("tasks", "submit", "add", '{"a": 5, "b": 10}', "--wait").stdout == b"15\n"


def test_a_task_is_submitted_looked_at_cancelled_and_tried_again(cli: Cli) -> None:
    kind = unused_name()
    made = cli("tasks", "submit", kind, "-", "--priority", 7, "--delay", "1h", stdin=b'{"n": 1.10}')
    id_ = made.stdout.decode().strip()
    shown = cli("tasks", "get", id_).stdout
    assert b'"args":{"n": 1.10}' in shown
    assert (json.loads(shown)["priority"], json.loads(shown)["status"]) == (7, "scheduled")
    assert id_.encode() in cli("tasks", "list", "--type", kind, "--status", "scheduled").stdout
    assert b"is cancelled" in cli("tasks", "cancel", id_).stdout
    assert b"cancelled" in cli("tasks", "wait", id_, expect=1).stderr
    assert b"is queued" in cli("tasks", "retry", id_).stdout
    assert b"is queued after" in cli("tasks", "wait", id_, "--seconds", 0.2, expect=1).stderr
    (line,) = cli("tasks", "list", "-t", kind, "-o", "ndjson").stdout.splitlines()
    assert json.loads(line)["id"] == id_
    cli("tasks", "cancel", id_)


def test_what_is_wrong_is_said_in_a_sentence(cli: Cli) -> None:
    assert b"no JSON object" in cli("tasks", "submit", "t", "[1]", expect=2).stderr
    assert b"args.a" in cli("tasks", "submit", "add", "{}", expect=4).stderr
    assert b"no task" in cli("tasks", "get", "nonsense", expect=4).stderr
    assert b"status" in cli("tasks", "list", "--status", "lost", expect=4).stderr
